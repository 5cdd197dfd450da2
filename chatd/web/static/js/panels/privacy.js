// @ts-check
/** What others see of the user and may do, and whom the user has blocked. */

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { button } from "../ui.js";
import { attempt, live } from "./live.js";
import { row, rows, switchLine } from "./page.js";

/** @typedef {import("../types.js").App} App */

const CHOICES = /** @type {const} */ (["receipts", "presence", "invitations"]);

/**
 * The switches. They are kept up to date with the user's other devices.
 * @param {App} app
 */
export function privacySwitches(app) {
  return live(app, {
    load: () => app.connection.request("privacy"),
    show: (chosen) =>
      CHOICES.flatMap((key) =>
        switchLine({
          key,
          label: t(`settings.${key}`),
          hint: t(`settings.${key}-hint`),
          on: chosen[key] !== false,
          change: (on) => choose(app, key, on),
        }),
      ),
  });
}

/** @param {App} app @param {typeof CHOICES[number]} key @param {boolean} on */
async function choose(app, key, on) {
  const request = () => app.connection.request("privacy", { [key]: on });
  const done = await attempt(app, request, () => t(`settings.${key}-${on ? "on" : "off"}`));
  if (done && key === "receipts") app.log.forget(); // the marks of the others are shown or hidden now
  return done;
}

/**
 * Shows the user as away, or back.
 * @param {App} app
 */
export function awaySwitch(app) {
  const change = (/** @type {boolean} */ on) =>
    attempt(app, () => app.connection.request("away", { on }), () => t(on ? "settings.away-on" : "settings.away-off"));
  return live(app, {
    load: async () => (await app.store.users()).some((each) => app.store.isMe(each.username) && each.away),
    show: (on) => switchLine({ key: "away", label: t("settings.away"), hint: t("settings.away-hint"), on, change }),
  });
}

/**
 * Whom the user has blocked, with buttons that lift the blocks.
 * @param {App} app
 */
export function blockedList(app) {
  const list = live(app, {
    events: ["block"],
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
