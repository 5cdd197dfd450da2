// @ts-check
/** All components of pages in one module. Their styles are in css/base.css and css/forms.css. */

import "./moreicons.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { iconButton } from "./parts.js";

export { announce, confirm, dialog, toast } from "./dialogs.js";
export { field, form } from "./forms.js";
export { icon } from "./icons.js";
export { avatar, button, covering, emptyState, iconButton, listRow, spinner, unreadBadge } from "./parts.js";

/** @import { Children } from "./dom.js" */

/**
 * The header of a page, with its only h1. `back` is the target of the back button on phones.
 * @param {{
 *   title: string, subtitle?: Children, back?: string | null, actions?: Children[], picture?: HTMLElement | null,
 * }} head
 * @returns {HTMLElement}
 */
export function pageHeader({ title, subtitle, back = "#/", actions = [], picture = null }) {
  return h(
    "header",
    { class: "page-head" },
    back && iconButton("back", t("ui.back"), { href: back, class: "page-back" }),
    picture,
    h(
      "div",
      { class: "page-titles" },
      h("h1", { class: "page-title", tabindex: -1, dir: "auto" }, title),
      subtitle && h("p", { class: "page-subtitle", dir: "auto" }, subtitle),
    ),
    actions.length > 0 && h("div", { class: "page-actions" }, ...actions),
  );
}
