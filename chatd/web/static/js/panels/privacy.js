// @ts-check
/** What others see of the user: whether read receipts are shown. */

import { h, uid } from "../dom.js";
import { t, tError } from "../i18n.js";
import { live } from "./live.js";

/** @typedef {import("../types.js").App} App */

/**
 * A switch for read receipts. It is kept up to date with the user's other devices.
 * @param {App} app
 */
export function receiptsSwitch(app) {
  const id = uid("receipts");
  return live(app, {
    load: async () => Boolean((await app.connection.request("privacy")).receipts),
    show: (on) => {
      const input = h("input", {
        id,
        type: "checkbox",
        role: "switch",
        class: "switch",
        checked: on,
        "aria-describedby": `${id}-hint`,
        dataset: { key: "receipts\n" },
        on: { change: () => void change(app, input) },
      });
      return [
        h("label", { class: "switch-line", for: id }, input, h("span", null, t("settings.receipts"))),
        h("p", { id: `${id}-hint`, class: "quiet" }, t("settings.receipts-hint")),
      ];
    },
  });
}

/** @param {App} app @param {HTMLInputElement} input */
async function change(app, input) {
  const receipts = input.checked;
  input.disabled = true;
  try {
    await app.connection.request("privacy", { receipts });
    app.log.forget(); // the marks of the others are shown or hidden now
    app.toast(t(receipts ? "settings.receipts-on" : "settings.receipts-off"), "success");
  } catch (error) {
    input.checked = !receipts;
    app.toast(tError(error), "error");
  }
  input.disabled = false;
  input.focus();
}
