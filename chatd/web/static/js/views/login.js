// @ts-check
/** The login page. */

import { h } from "../dom.js";
import { ask } from "../http.js";
import { t } from "../i18n.js";
import { field, form } from "../forms.js";
import { outside } from "./outside.js";

/** @param {import("../types.js").App} app @returns {import("../types.js").View} */
export function view(app) {
  const realm = app.session?.realm ?? "";
  const username = field({
    label: t("login.username"),
    name: "username",
    autocomplete: "username",
    required: true,
    maxlength: 64,
    codes: ["unknown-user", "bad-name"],
  });
  const password = field({
    label: t("login.password"),
    name: "password",
    type: "password",
    autocomplete: "current-password",
    required: true,
    codes: ["wrong-password"],
  });
  const content = form(
    [username, password],
    async (values) => app.enter(await ask("POST", "/session", { ...values, username: values.username.trim() })),
    { submit: t("login.submit"), label: t("login.title") },
  );
  const registration = app.session?.registration;
  return {
    title: t("login.title"),
    node: outside(app, {
      title: t("login.title"),
      intro: t("login.intro", { realm }),
      notice: app.why() ?? undefined,
      content,
      other: h(
        "p",
        { class: "outside-other" },
        ...(registration === "closed"
          ? [t("login.closed")]
          : [
              t(registration === "invite" ? "login.invited" : "login.new"),
              " ",
              h("a", { href: "#/register" }, t("login.register")),
            ]),
      ),
    }),
    focus: () => username.input.focus(),
  };
}
