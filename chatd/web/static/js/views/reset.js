// @ts-check
/** What the link for a forgotten password opens: it asks for a new password. */

import { fill, h } from "../dom.js";
import { field, form } from "../forms.js";
import { ask } from "../http.js";
import { t } from "../i18n.js";
import { button, emptyState } from "../parts.js";
import { linkSecret } from "../router.js";
import { outside } from "./outside.js";

/** @param {import("../types.js").App} app @returns {import("../types.js").View} */
export function view(app) {
  const token = linkSecret("reset");
  const least = app.session?.min_password ?? 8;
  const password = field({
    label: t("reset.password"),
    name: "password",
    type: "password",
    autocomplete: "new-password",
    required: true,
    minlength: least,
    hint: t("register.password.hint", { n: least }),
    codes: ["weak-password"],
  });
  const login = button(t("reset.login"), { kind: "primary", href: "#/login" });
  const content = h("div", null);
  const node = outside(app, { title: t("reset.title"), intro: t("reset.intro"), content });
  /** Shows an outcome in place of the form. @param {string} title @param {string} hint @param {"check" | "alert"} icon */
  const end = (title, hint, icon) => {
    node.querySelector(".outside-intro")?.remove();
    fill(content, emptyState(title, hint, login, icon));
  };
  const change = async (/** @type {Record<string, string>} */ values) => {
    const { username } = await ask("POST", "/reset", { token, password: values.password });
    linkSecret("reset", "");
    end(t("reset.done", { username }), t("reset.done.hint"), "check");
    login.focus();
  };
  const asking = form([password], change, { submit: t("reset.submit"), label: t("reset.title") });
  if (token) fill(content, asking);
  else end(t("reset.bad"), t("reset.bad.hint"), "alert");
  return { title: t("reset.title"), node, focus: token ? () => password.input.focus() : undefined };
}
