// @ts-check
/** The user's contacts, and which of them are online. */

import { t } from "../i18n.js";
import { filtered } from "../panels/filter.js";
import { attempt, live } from "../panels/live.js";
import { matches, parseAddress } from "../panels/names.js";
import { bdi, page, personRow, section } from "../panels/page.js";
import { hashOf } from "../router.js";
import { confirm, emptyState, field, form, iconButton } from "../ui.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {{username: string, online: boolean, away?: boolean}} Contact */

const INTERVAL = 60_000; // ms, because older realms do not tell by events who is online

/** @param {App} app @returns {import("../types.js").View} */
export function view(app) {
  /** @type {(contacts: readonly Contact[]) => HTMLElement} */
  const list = filtered({
    label: t("panels.filter"),
    title: t("contacts.list"),
    fits: ({ username }, typed) => matches(typed, username, app.store.displayName(username)),
    row: (contact) => contactRow(app, contact, remove),
    empty: () => emptyState(t("contacts.none"), t("contacts.none-hint"), null, "user"),
  });
  const shown = live(app, {
    load: async () => {
      const [reply] = await Promise.all([app.connection.request("contacts"), app.store.users()]);
      app.store.meet(reply.contacts);
      const named = (/** @type {Contact} */ each) => app.store.displayName(each.username);
      return [.../** @type {Contact[]} */ (reply.contacts)].sort(
        (one, other) => Number(other.online) - Number(one.online) || named(one).localeCompare(named(other)),
      );
    },
    show: (contacts) => [list(contacts)],
    every: INTERVAL,
    events: ["presence", "profile"],
  });

  /** @param {Contact} contact */
  async function remove({ username }) {
    const name = app.store.displayName(username);
    const sure = await confirm({
      title: t("contacts.delete-ask", { name }),
      text: t("contacts.delete-text"),
      action: t("contacts.delete-button"),
      danger: true,
    });
    if (!sure) return;
    const request = () => app.connection.request("delcontact", { user: username });
    await attempt(app, request, () => t("contacts.deleted", { name }));
    await shown.refresh();
  }

  return {
    title: t("contacts.title"),
    node: page(
      { title: t("contacts.title") },
      section(t("contacts.add"), addForm(app, shown)),
      section(t("contacts.list"), shown.node),
    ),
    destroy: () => shown.destroy(),
  };
}

/**
 * @param {App} app
 * @param {import("../panels/live.js").Live<any>} shown
 */
function addForm(app, shown) {
  const who = field({
    label: t("contacts.who"),
    name: "user",
    hint: t("contacts.hint"),
    required: true,
    codes: ["unknown-user", "unknown-realm", "realm-not-found", "contact-exists", "bad-name"],
    check: (text) => (parseAddress(text) ? null : t("newchat.bad")),
  });
  const add = async () => {
    const user = who.value.trim();
    await app.connection.request("addcontact", { user });
    who.value = "";
    await shown.refresh();
    app.toast(t("contacts.added", { name: app.store.displayName(user) }), "success");
    who.input.focus();
  };
  return form([who], add, { submit: t("contacts.add-button"), class: "form-line", label: t("contacts.add") });
}

/**
 * @param {App} app
 * @param {Contact} contact
 * @param {(contact: Contact) => unknown} remove
 */
function contactRow(app, contact, remove) {
  const { username, online, away } = contact;
  const name = app.store.displayName(username);
  const status = app.store.status(username);
  return personRow({
    address: username,
    name,
    online,
    away,
    picture: app.store.pictureOf(username),
    note: [status && bdi(status), t(`ui.${online ? (away ? "away" : "online") : "offline"}`)],
    href: hashOf(app.store.place("u", username)),
    actions: [iconButton("trash", t("contacts.delete", { name }), { onClick: () => remove(contact) })],
  });
}
