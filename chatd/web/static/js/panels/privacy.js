// @ts-check
/** What others see of the user and may do, and whom the user has blocked. */

import { h, uid } from "../dom.js";
import { t } from "../i18n.js";
import { tError } from "../refusals.js";
import { button } from "../ui.js";
import { attempt, live } from "./live.js";
import { row, rows } from "./page.js";

/** @typedef {import("../types.js").App} App */

const CHOICES = /** @type {const} */ (["receipts", "presence", "invitations"]);

/**
 * The switches. They are kept up to date with the user's other devices.
 * @param {App} app
 */
export function privacySwitches(app) {
  const id = uid("privacy");
  return live(app, {
    load: () => app.connection.request("privacy"),
    show: (chosen) =>
      CHOICES.flatMap((key) => {
        const input = h("input", {
          id: `${id}-${key}`,
          type: "checkbox",
          role: "switch",
          class: "switch",
          checked: chosen[key] !== false,
          "aria-describedby": `${id}-${key}-hint`,
          dataset: { key: `${key}\n` },
          on: { change: () => void change(app, key, input) },
        });
        return [
          h("label", { class: "switch-line", for: input.id }, input, h("span", null, t(`settings.${key}`))),
          h("p", { id: `${id}-${key}-hint`, class: "quiet" }, t(`settings.${key}-hint`)),
        ];
      }),
  });
}

/** @param {App} app @param {typeof CHOICES[number]} key @param {HTMLInputElement} input */
async function change(app, key, input) {
  const on = input.checked;
  input.disabled = true;
  try {
    await app.connection.request("privacy", { [key]: on });
    if (key === "receipts") app.log.forget(); // the marks of the others are shown or hidden now
    app.toast(t(`settings.${key}-${on ? "on" : "off"}`), "success");
  } catch (error) {
    input.checked = !on;
    app.toast(tError(error), "error");
  }
  input.disabled = false;
  input.focus();
}

/**
 * Whom the user has blocked, with buttons that lift the blocks.
 * @param {App} app
 */
export function blockedList(app) {
  const list = live(app, {
    load: async () => /** @type {{user?: string, realm?: string}[]} */ ((await app.connection.request("blocked")).blocked),
    show: (blocked) => {
      if (!blocked.length) return [h("p", { class: "quiet" }, t("settings.blocked-none"))];
      return [rows(t("settings.blocked"), blocked.map(blockedRow))];
    },
  });
  /** @param {{user?: string, realm?: string}} what */
  const blockedRow = ({ user, realm }) => {
    const name = user ?? `@@${realm}`;
    const lift = async () => {
      const request = () => app.connection.request("unblock", user === undefined ? { realm } : { user });
      const done = await attempt(app, request, () => t("settings.unblocked", { name }));
      if (done) app.log.forget(); // the messages of that person are shown again
      await list.refresh();
    };
    const label = t("settings.unblock", { name });
    const lifting = button(t("settings.unblock-short"), { kind: "small", onClick: lift, "aria-label": label });
    return row({ key: name, title: name, actions: [lifting] });
  };
  return list;
}
