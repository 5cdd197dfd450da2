// @ts-check
/** The end of an account. */

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { button, dialog, field, form } from "../ui.js";

/** @typedef {import("../types.js").App} App */

/** A button that deletes the user's account, after a question. @param {App} app */
export function leaving(app) {
  const ask = button(t("settings.delete"), { kind: "danger", icon: "trash", onClick: () => question(app) });
  return h("div", { class: "action" }, ask, h("p", { class: "quiet" }, t("settings.delete-hint")));
}

/** @param {App} app */
function question(app) {
  const messages = field({
    label: t("settings.delete-messages"),
    name: "messages",
    type: "select",
    value: "keep",
    options: ["keep", "erase"].map((value) => ({ value, label: t(`settings.delete-${value}`) })),
  });
  const password = field({
    label: t("settings.old"),
    name: "password",
    type: "password",
    autocomplete: "current-password",
    required: true,
    codes: ["wrong-password", "too-many-attempts"],
  });
  const remove = async (/** @type {Record<string, string>} */ values) => {
    app.leaving = true;
    try {
      await app.connection.request("deleteaccount", values);
    } catch (error) {
      app.leaving = false;
      throw error;
    }
    close();
    app.outbox.clear();
    app.leave(t("settings.delete-done"));
  };
  const warning = h("p", null, t("settings.delete-text"));
  const content = form([warning, messages, password], remove, { submit: t("settings.delete"), kind: "danger" });
  const close = dialog(t("settings.delete-ask", { name: app.store.me?.username ?? "" }), content, { narrow: true });
}
