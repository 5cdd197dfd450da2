// @ts-check
/** Settings: profile, password, privacy, language, theme, notifications, installing, logging out. */

import { h, uid } from "../dom.js";
import { language, t } from "../i18n.js";
import { page, section } from "../panels/page.js";
import { installing, notifying } from "../panels/device.js";
import { importing } from "../panels/importing.js";
import { leaving } from "../panels/leaving.js";
import { moving } from "../panels/moving.js";
import { portrait } from "../panels/portrait.js";
import { awaySwitch, blockedList, privacySwitches } from "../panels/privacy.js";
import { sessionList } from "../panels/sessions.js";
import { setTheme, theme } from "../theme.js";
import { button, confirm, field, form } from "../ui.js";

/** @typedef {import("../types.js").App} App */

/** @param {App} app @returns {import("../types.js").View} */
export function view(app) {
  const { realm = "", version = "" } = app.store.session ?? {};
  const place = app.store.place("u", app.store.me?.username ?? "");
  const imports = importing(app);
  const parts = [imports, portrait(app, place), installing(app), awaySwitch(app), privacySwitches(app), blockedList(app), sessionList(app), moving(app)];
  const [, picture, install, away, switches, blocked, list, moves] = parts;
  return {
    title: t("settings.title"),
    node: page(
      { title: t("settings.title") },
      section(t("settings.profile"), picture.node, profile(app)),
      app.store.session?.claimable && section(t("settings.claim"), claim(app)),
      section(t("settings.look"), looks(app)),
      section(t("settings.notifications"), notifying()),
      section(t("settings.privacy"), away.node, switches.node),
      section(t("settings.blocked"), blocked.node),
      section(t("settings.password"), password(app)),
      section(t("settings.install"), install.node),
      section(t("settings.sessions"), [list.node, sessions(app)]),
      section(t("settings.moves"), moves.node),
      section(t("settings.data"), h("div", { class: "actions" }, exporting(), imports.node, leaving(app))),
      section(
        t("settings.about"),
        h("p", { class: "quiet", dir: "auto" }, t("settings.about-text", { version, realm })),
      ),
    ),
    destroy: () => parts.forEach((part) => part.destroy()),
  };
}

/** @param {App} app */
function profile(app) {
  const me = app.store.me;
  const shown = field({
    label: t("settings.name"),
    name: "name",
    value: me?.name ?? "",
    hint: t("settings.name-hint"),
    autocomplete: "name",
    maxlength: 128,
    codes: ["bad-text"],
  });
  const country = field({
    label: t("settings.country"),
    name: "country",
    value: me?.country ?? "",
    autocomplete: "country-name",
    maxlength: 128,
    codes: ["empty-text"],
  });
  const status = field({
    label: t("settings.status"),
    name: "status",
    value: me?.status_text ?? "",
    hint: t("settings.status-hint"),
    maxlength: 128,
    codes: ["bad-argument"],
  });
  const save = async () => {
    const account = app.store.me;
    const from = country.value.trim();
    const wanted = {
      name: shown.value.trim() || account?.username,
      ...(from === account?.country ? {} : { country: from }),
    };
    const { username, name, country: now, operator } = await app.connection.request("profile", wanted);
    app.store.changeMe({ username, name, country: now, operator });
    const text = status.value.trim();
    if (text !== (account?.status_text ?? "")) {
      await app.connection.request("status", text ? { text } : {});
      app.store.changeMe({ status_text: text });
    }
    shown.value = name;
    country.value = now;
    app.toast(t("settings.saved"), "success");
  };
  return [
    h(
      "p",
      null,
      `${t("settings.username")}: `,
      h("bdi", { dir: "auto" }, h("strong", null, me?.username ?? "")),
    ),
    me?.operator && h("p", { class: "quiet" }, t("settings.operator")),
    form([shown, status, country], save, { label: t("settings.profile") }),
  ];
}

/**
 * The operator's code, for a realm that has never had an operator.
 * @param {App} app
 */
function claim(app) {
  const code = field({
    label: t("settings.code"),
    name: "code",
    hint: t("settings.code-hint"),
    autocomplete: "off",
    required: true,
    codes: ["wrong-code", "already-claimed", "too-many-attempts"],
  });
  const become = async () => {
    await app.connection.request("claim", { code: code.value });
    location.reload(); // much of the page depends on the account's role
  };
  return form([code], become, { submit: t("settings.become"), label: t("settings.claim") });
}

/** @param {App} app */
function looks(app) {
  const languages = choice("language", t("settings.language"), language(), [
    { value: "en", label: "English", lang: "en" },
    { value: "id", label: "Bahasa Indonesia", lang: "id" },
  ]);
  languages.addEventListener("change", async (event) => {
    const { value } = /** @type {HTMLInputElement} */ (event.target);
    await app.changeLanguage(/** @type {import("../i18n.js").Language} */ (value));
    // The page was redrawn: give the focus back to the chosen option.
    /** @type {HTMLElement | null} */ (
      document.querySelector(`input[name="language"][value="${value}"]`)
    )?.focus();
  });
  const themes = choice("theme", t("settings.theme"), theme(), [
    { value: "auto", label: t("settings.theme-system") },
    { value: "light", label: t("settings.theme-light") },
    { value: "dark", label: t("settings.theme-dark") },
  ]);
  themes.addEventListener("change", (event) => {
    setTheme(
      /** @type {import("../theme.js").Theme} */ (/** @type {HTMLInputElement} */ (event.target).value),
    );
  });
  return h("div", { class: "form" }, languages, themes);
}

/**
 * A group of radio buttons.
 * @param {string} name
 * @param {string} legend
 * @param {string} now
 * @param {{value: string, label: string, lang?: string}[]} options
 */
function choice(name, legend, now, options) {
  return h(
    "fieldset",
    { class: "choice" },
    h("legend", null, legend),
    h(
      "div",
      { class: "choices" },
      ...options.map(({ value, label, lang }) => {
        const id = uid(name);
        const input = h("input", { id, type: "radio", name, value, checked: value === now });
        return h("label", { class: "choice-option", for: id, lang }, input, h("span", null, label));
      }),
    ),
  );
}

/** @param {App} app */
function password(app) {
  const minimum = app.store.session?.min_password ?? 8;
  const old = field({
    label: t("settings.old"),
    name: "old",
    type: "password",
    autocomplete: "current-password",
    required: true,
    codes: ["wrong-password", "too-many-attempts"],
  });
  const fresh = field({
    label: t("settings.new"),
    name: "new",
    type: "password",
    autocomplete: "new-password",
    hint: t("settings.new-hint", { n: minimum }),
    minlength: minimum,
    required: true,
    codes: ["weak-password"],
  });
  const again = field({
    label: t("settings.repeat"),
    name: "again",
    type: "password",
    autocomplete: "new-password",
    required: true,
    check: (text) => (text === fresh.value ? null : t("settings.differ")),
  });
  // Password managers save the new password under this name.
  const whose = h("input", {
    type: "text",
    name: "username",
    autocomplete: "username",
    value: app.store.me?.username ?? "",
    hidden: true,
    readonly: true,
  });
  const change = async () => {
    await app.connection.request("password", { old: old.value, new: fresh.value });
    for (const each of [old, fresh, again]) each.value = "";
    app.toast(t("settings.changed"), "success");
  };
  return form([whose, old, fresh, again], change, {
    submit: t("settings.change"),
    label: t("settings.password"),
  });
}

/** A download of everything that the user has here. */
function exporting() {
  const link = button(t("settings.export"), { icon: "download", href: "/export", download: "" });
  return h("div", { class: "action" }, link, h("p", { class: "quiet" }, t("settings.export-hint")));
}

/** @param {App} app */
function sessions(app) {
  const everywhere = async () => {
    const sure = await confirm({
      title: t("settings.everywhere-ask"),
      text: t("settings.everywhere-text"),
      action: t("settings.everywhere"),
      danger: true,
    });
    if (sure) await app.signOut({ everywhere: true });
  };
  const action = (/** @type {HTMLElement} */ control, /** @type {string} */ hint) =>
    h("div", { class: "action" }, control, h("p", { class: "quiet" }, hint));
  return h(
    "div",
    { class: "actions" },
    action(
      button(t("settings.logout"), { icon: "leave", onClick: () => app.signOut() }),
      t("settings.logout-hint"),
    ),
    action(
      button(t("settings.everywhere"), { kind: "danger", icon: "leave", onClick: everywhere }),
      t("settings.everywhere-hint"),
    ),
  );
}
