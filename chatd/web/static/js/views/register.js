// @ts-check
/** The registration page. The link of an invitation opens it with the code of the invitation. */

import { h } from "../dom.js";
import { ask } from "../http.js";
import { t } from "../i18n.js";
import { field, form } from "../forms.js";
import { NAME } from "../panels/names.js";
import { emptyState } from "../parts.js";
import { linkSecret } from "../router.js";
import { outside } from "./outside.js";

/** @typedef {import("../types.js").App} App */

/** @param {App} app @returns {import("../types.js").View} */
export function view(app) {
  const registration = app.session?.registration;
  const code = registration === "invite" ? linkSecret("register") : "";
  const fields = registration === "closed" ? [] : fieldsOf(app, registration === "invite", code !== "");
  const content = fields.length
    ? form(fields, (values) => register(app, values, code), {
        submit: t("register.submit"),
        label: t("register.title"),
      })
    : emptyState(t("register.closed"), t("register.closed.hint"), null, "lock");
  return {
    title: t("register.title"),
    node: outside(app, {
      title: t("register.title"),
      intro: t(introOf(registration, code)),
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

/** @param {string | undefined} registration @param {string} code */
function introOf(registration, code) {
  if (registration !== "invite") return "register.intro";
  return code ? "register.invited" : "register.invite.intro";
}

/**
 * Registers and logs in.
 * @param {App} app
 * @param {Record<string, string>} values of the fields
 * @param {string} code that the link has, or empty
 */
async function register(app, { username, password, invite, name, country }, code) {
  const given = { name, country, invite: code || invite };
  const more = Object.entries(given).map(([key, text]) => [key, (text ?? "").trim()]);
  const account = { username: username.trim(), password, ...Object.fromEntries(more.filter(([, text]) => text)) };
  const session = await ask("POST", "/accounts", account);
  linkSecret("register", "");
  await app.enter(session);
}

/**
 * @param {App} app
 * @param {boolean} byInvitation whether an invitation is needed
 * @param {boolean} invited whether the link has its code
 */
function fieldsOf(app, byInvitation, invited) {
  const least = app.session?.min_password ?? 8;
  const who = [
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
  ];
  if (invited) return who;
  const more = [
    field({
      label: t("register.name"),
      name: "name",
      autocomplete: "name",
      maxlength: 128,
      hint: t("register.name.hint"),
    }),
    field({ label: t("register.country"), name: "country", autocomplete: "country-name", maxlength: 128 }),
  ];
  return [...(byInvitation ? [inviteField()] : []), ...who, ...more];
}

function inviteField() {
  return field({
    label: t("register.invite"),
    name: "invite",
    required: true,
    maxlength: 64,
    hint: t("register.invite.hint"),
    codes: ["bad-invitation", "invitation-needed", "too-many-codes"],
  });
}
