// @ts-check
/** Moving to another realm, and from there. */

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { button, dialog, field, form } from "../ui.js";
import { attempt, live } from "./live.js";
import { row, rows } from "./page.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {{what: string, address: string, old?: string}} Move */

const CODES = ["bad-name", "bad-argument", "unknown-realm", "realm-not-found", "lookup-denied", "not-supported-there"];

/** Where the user moves or has moved, and what begins and cancels a move. @param {App} app */
export function moving(app) {
  const list = live(app, {
    load: async () => /** @type {Move[]} */ ((await app.connection.request("moves")).moves),
    show: (moves) => {
      const known = moves.length
        ? rows(t("settings.moves"), moves.map(line))
        : h("p", { class: "quiet" }, t("settings.moves-none"));
      const planned = moves.some(({ what }) => what === "moving" || what === "takes");
      return [known, actions(planned)];
    },
  });
  const line = (/** @type {Move} */ { what, address, old = "" }) =>
    row({
      key: `${what} ${address}`,
      title: t(`settings.moves-${what}`, { address, old }),
      actions: what === "claims" ? [answer("acceptmove", address), answer("declinemove", address)] : [],
    });
  const answer = (/** @type {string} */ command, /** @type {string} */ address) => {
    const give = async () => {
      await attempt(app, () => app.connection.request(command, { address }), () => t(`settings.moves-${command}-done`));
      await list.refresh();
    };
    const label = t(`settings.moves-${command}`, { address });
    return button(t(`settings.moves-${command}-short`), { kind: "small", onClick: give, "aria-label": label });
  };
  const cancel = async () => {
    await attempt(app, () => app.connection.request("cancelmove"), () => t("settings.moves-cancelled"));
    await list.refresh();
  };
  const done = (/** @type {string} */ sentence) => {
    void list.refresh();
    app.announce(sentence);
  };
  const actions = (/** @type {boolean} */ planned) =>
    h(
      "div",
      { class: "actions" },
      button(t("settings.move"), { icon: "globe", onClick: () => askAway(app, done) }),
      button(t("settings.take"), { icon: "plus", onClick: () => askHere(app, done) }),
      button(t("settings.claim-lost"), { icon: "alert", onClick: () => askLost(app, done) }),
      planned && button(t("settings.moves-cancel"), { onClick: cancel }),
      h("p", { class: "quiet" }, t("settings.move-hint")),
    );
  return list;
}

/** @param {App} app @param {(sentence: string) => void} done */
function askAway(app, done) {
  const address = field({ label: t("settings.move-to"), name: "address", required: true, codes: CODES });
  const password = field({
    label: t("settings.old"),
    name: "password",
    type: "password",
    autocomplete: "current-password",
    required: true,
    codes: ["wrong-password", "too-many-attempts"],
  });
  const move = async (/** @type {Record<string, string>} */ values) => {
    const { moved, address: to } = await app.connection.request("moveaccount", values);
    close();
    done(t(moved ? "settings.move-done" : "settings.move-waits", { address: to }));
  };
  const content = form([h("p", null, t("settings.move-text")), address, password], move, { submit: t("settings.move") });
  const close = dialog(t("settings.move"), content, { narrow: true });
}

/** @param {App} app @param {(sentence: string) => void} done */
function askHere(app, done) {
  const codes = [...CODES, "too-many-moves"];
  const address = field({ label: t("settings.move-from"), name: "address", required: true, codes });
  const take = async (/** @type {Record<string, string>} */ values) => {
    const { address: from } = await app.connection.request("takeaccount", values);
    close();
    done(t("settings.take-done", { address: from }));
  };
  const content = form([h("p", null, t("settings.take-text")), address], take, { submit: t("settings.take") });
  const close = dialog(t("settings.take"), content, { narrow: true });
}

/** @param {App} app @param {(sentence: string) => void} done */
function askLost(app, done) {
  const codes = [...CODES, "too-many-claims"];
  const address = field({ label: t("settings.move-from"), name: "address", required: true, codes });
  const tell = async (/** @type {Record<string, string>} */ values) => {
    const { asked } = await app.connection.request("claimaccount", values);
    close();
    done(t("settings.claim-lost-done", { n: asked }));
  };
  const content = form([h("p", null, t("settings.claim-lost-text")), address], tell, { submit: t("settings.claim-lost") });
  const close = dialog(t("settings.claim-lost"), content, { narrow: true });
}
