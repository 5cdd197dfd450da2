// @ts-check
/** The page beside the list while no conversation is open, on wide windows. */

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { button, emptyState } from "../parts.js";

/** @param {import("../types.js").App} app @returns {import("../types.js").View} */
export function view(app) {
  const name = app.store.me?.name ?? "";
  return {
    title: t("nav.chats"),
    node: h(
      "div",
      { class: "home" },
      emptyState(
        t("home.hello", { name }),
        t("home.hint"),
        [
          button(t("nav.new"), { kind: "primary", icon: "plus", href: "#/new" }),
          button(t("nav.search"), { icon: "search", href: "#/search" }),
        ],
        "chats",
      ),
    ),
  };
}
