// @ts-check
/** The registration page. */

import { h } from "../dom.js";
import { ask } from "../http.js";
import { t } from "../i18n.js";
import { field, form } from "../forms.js";
import { NAME } from "../panels/names.js";
import { emptyState } from "../parts.js";
import { outside } from "./outside.js";


/** @param {import("../types.js").App} app @returns {import("../types.js").View} */
export function view(app) {
  const open = app.session?.registration === "open";
  const fields = open ? fieldsOf(app) : [];
  const content = open
    ? form(
        fields,
        async ({ username, password, name, country }) => {
          const more = { ...(name.trim() && { name: name.trim() }), ...(country.trim() && { country: country.trim() }) };
          await app.enter(await ask("POST", "/accounts", { username: username.trim(), password, ...more }));
        },
        { submit: t("register.submit"), label: t("register.title") },
      )
    : emptyState(t("register.closed"), t("register.closed.hint"), null, "lock");
  return {
    title: t("register.title"),
    node: outside(app, {
      title: t("register.title"),
      intro: t("register.intro"),
      content,
      other: h(
        "p",
        { class: "outside-other" },
        t("register.known"),
        " ",
        h("a", { href: "#/login" }, t("register.login")),
      ),
    }),
    focus: () => fields[0]?.input.focus(),
  };
}

/** @param {import("../types.js").App} app */
function fieldsOf(app) {
  const least = app.session?.min_password ?? 8;
  return [
    field({
      label: t("login.username"),
      name: "username",
      autocomplete: "username",
      required: true,
      maxlength: 64,
      hint: t("register.username.hint"),
      codes: ["user-exists", "bad-name", "reserved-name"],
      check: (value) => (NAME.test(value.trim().normalize("NFC")) ? null : t("register.username.bad")),
    }),
    field({
      label: t("login.password"),
      name: "password",
      type: "password",
      autocomplete: "new-password",
      required: true,
      minlength: least,
      hint: t("register.password.hint", { n: least }),
      codes: ["weak-password"],
    }),
    field({
      label: t("register.name"),
      name: "name",
      autocomplete: "name",
      maxlength: 128,
      hint: t("register.name.hint"),
    }),
    field({ label: t("register.country"), name: "country", autocomplete: "country-name", maxlength: 128 }),
  ];
}
