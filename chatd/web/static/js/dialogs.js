// @ts-check
/** Dialogs, toasts, and announcements to a screen reader. */

import "./moreicons.js";
import { fill, h, uid } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { button, iconButton } from "./parts.js";

/** @import { Children } from "./dom.js" */

/**
 * A modal dialog. Escape, its cross and a click outside close it, and the focus returns to where it was.
 * @param {string} title
 * @param {Children} content
 * @param {{actions?: HTMLElement[], onClose?: () => void, narrow?: boolean}} [options]
 * @returns {() => void} closes it
 */
export function dialog(title, content, { actions = [], onClose, narrow = false } = {}) {
  const id = uid("dialog");
  const cross = iconButton("close", t("ui.close"), { onClick: () => node.close() });
  const node = h(
    "dialog",
    { class: narrow ? "dialog dialog-narrow" : "dialog", "aria-labelledby": id },
    h(
      "div",
      { class: "dialog-inside" },
      h("header", { class: "dialog-head" }, h("h2", { id, dir: "auto" }, title), cross),
      h("div", { class: "dialog-content" }, content),
      actions.length > 0 && h("footer", { class: "dialog-actions" }, actions),
    ),
  );
  let pressed = false;
  node.addEventListener("pointerdown", (event) => (pressed = event.target === node));
  node.addEventListener("click", (event) => {
    if (pressed && event.target === node) node.close();
  });
  node.addEventListener("close", () => {
    node.remove();
    onClose?.();
  });
  document.body.append(node);
  node.showModal();
  /** @type {HTMLElement | null} */
  const first = node.querySelector("[autofocus], .dialog-content :is(input, select, textarea, button)");
  (first ?? /** @type {HTMLElement | null} */ (node.querySelector(".dialog-actions button")) ?? cross).focus();
  return () => node.close();
}

/**
 * Asks for confirmation. Resolves to the answer.
 * @param {{title: string, text?: Children, action: string, danger?: boolean, cancel?: string}} question
 * @returns {Promise<boolean>}
 */
export function confirm({ title, text, action, danger = false, cancel = t("ui.cancel") }) {
  return new Promise((resolve) => {
    let answer = false;
    const close = dialog(title, text ? h("p", null, text) : null, {
      narrow: true,
      actions: [
        button(cancel, { onClick: () => close(), autofocus: danger }),
        button(action, {
          kind: danger ? "danger" : "primary",
          onClick: () => {
            answer = true;
            close();
          },
        }),
      ],
      onClose: () => resolve(answer),
    });
  });
}

const TOAST_TIME = 5000; // ms
const LONG_TOAST_TIME = 9000; // ms: for errors, and toasts with a button

/**
 * A short notice at the edge of the page that disappears by itself.
 * @param {string} text
 * @param {"info" | "success" | "error"} [kind]
 * @param {{action?: {label: string, onClick: () => void}}} [options]
 */
export function toast(text, kind = "info", { action } = {}) {
  /** @type {ReturnType<typeof setTimeout>} */
  let timer;
  const away = () => {
    clearTimeout(timer);
    node.remove();
  };
  const stay = () => {
    clearTimeout(timer);
    timer = setTimeout(away, action || kind === "error" ? LONG_TOAST_TIME : TOAST_TIME);
  };
  const node = h(
    "div",
    { class: `toast toast-${kind}`, on: { pointerenter: () => clearTimeout(timer), pointerleave: stay } },
    icon(kind === "error" ? "alert" : kind === "success" ? "check" : "info"),
    h("p", { dir: "auto" }, text),
    action &&
      button(action.label, {
        kind: "small",
        onClick: () => {
          away();
          action.onClick();
        },
      }),
    iconButton("close", t("ui.close"), { onClick: away }),
  );
  place("toasts", kind === "error" ? "alert" : "status").append(node);
  stay();
}

/**
 * Tells a screen reader only.
 * @param {string} text
 * @param {{urgent?: boolean}} [options]
 */
export function announce(text, { urgent = false } = {}) {
  const live = place("announcements visually-hidden", urgent ? "alert" : "status");
  fill(live, h("p", null, text));
}

/**
 * The live region of that kind. Screen readers need it in the page before its first text.
 * @param {string} name
 * @param {"status" | "alert"} role
 * @returns {HTMLElement}
 */
function place(name, role) {
  const key = `${name.split(" ")[0]}-${role}`;
  const found = document.getElementById(key);
  if (found) return found;
  const node = h("div", { id: key, class: name, role });
  (document.getElementById("notices") ?? document.body).append(node);
  return node;
}

/** Makes the live regions in advance, so that the first announcement is read. */
export function prepareNotices() {
  for (const role of /** @type {const} */ (["status", "alert"])) {
    place("toasts", role);
    place("announcements visually-hidden", role);
  }
}
