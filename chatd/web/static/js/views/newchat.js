// @ts-check
/** A new conversation: finding somebody by name, or by address. */

import { fill, h, uid } from "../dom.js";
import { t } from "../i18n.js";
import { keyOf } from "../keys.js";
import { live } from "../panels/live.js";
import { matches, parseAddress, realmOf } from "../panels/names.js";
import { bdi, page, personRow, row, rows, section, tag } from "../panels/page.js";
import { several } from "../panels/several.js";
import { tError } from "../refusals.js";
import { hashOf } from "../router.js";
import { announce, emptyState, icon } from "../ui.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {import("../types.js").User} User */
/** @typedef {{username: string, online: boolean}} Contact */
/** @typedef {{address: string, name: string, country: string, online: boolean, contact: boolean, me: boolean}} Person */

const INTERVAL = 15_000; // ms
const MAX = 200; // rows of people; typing finds more

/** @param {App} app @returns {import("../types.js").View} */
export function view(app) {
  const { form, input, error } = searchField();
  /** @type {Person[]} */
  let people = [];
  const shown = live(app, {
    load: () => everybody(app),
    show: (found) => {
      people = found;
      return list(app, found, input.value.trim(), check);
    },
    every: INTERVAL,
  });
  const refuse = (/** @type {string} */ text) => {
    fill(error, icon("alert"), h("p", { dir: "auto" }, text));
    input.focus();
  };
  const go = (/** @type {string} */ address) => app.router.go(hashOf(app.store.place("u", address)));
  // Opens the conversation if the realm knows the address.
  const check = async (/** @type {string} */ address) => {
    fill(error);
    try {
      await app.connection.request("history", { user: address, n: 1 });
      go(address);
    } catch (trouble) {
      refuse(tError(trouble));
    }
  };
  input.addEventListener("input", () => {
    fill(error);
    shown.redraw();
    const typed = input.value.trim();
    if (typed) announce(t("panels.results", { n: matching(people, typed).length }));
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const typed = input.value.trim();
    const meant = exactMatch(people, typed);
    if (meant) go(meant.address);
    else if (parseAddress(typed)) void check(typed);
    else if (typed) refuse(t("newchat.bad"));
  });
  form.addEventListener("keydown", (event) => focusFirst(event, shown.node));
  return {
    title: t("newchat.title"),
    node: page({ title: t("newchat.title") }, form, shown.node, several(app)),
    destroy: () => shown.destroy(),
    focus: () => input.focus(),
  };
}

/** The field for a name or address. */
function searchField() {
  const id = uid("who");
  const error = h("div", { class: "form-error", role: "alert" });
  const input = h("input", {
    id,
    class: "input",
    type: "search",
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: "false",
    enterkeyhint: "go",
    dir: "auto",
    "aria-describedby": `${id}-hint`,
  });
  const hint = h("p", { id: `${id}-hint`, class: "field-hint" }, t("newchat.hint"));
  const field = h("div", { class: "field" }, h("label", { for: id }, t("newchat.who")), input, hint);
  return { form: h("form", { class: "form finder", role: "search" }, field, error), input, error };
}

/**
 * Arrow down moves the focus to the first result.
 * @param {KeyboardEvent} event
 * @param {HTMLElement} list
 */
function focusFirst(event, list) {
  const first = list.querySelector("a, button");
  if (event.key !== "ArrowDown" || !(first instanceof HTMLElement)) return;
  event.preventDefault();
  first.focus();
}

/**
 * The person that a typed text means, if it is unambiguous.
 * @param {Person[]} people
 * @param {string} typed
 * @returns {Person | undefined}
 */
function exactMatch(people, typed) {
  if (!typed) return undefined;
  const found = matching(people, typed);
  return (
    found.find((each) => keyOf(each.address) === keyOf(typed)) ?? (found.length === 1 ? found[0] : undefined)
  );
}

/**
 * Everybody in this realm and all contacts; people who are online come first.
 * @param {App} app
 * @returns {Promise<Person[]>}
 */
async function everybody(app) {
  const [users, reply] = await Promise.all([app.store.users(), app.connection.request("contacts")]);
  const contacts = /** @type {Contact[]} */ (reply.contacts);
  app.store.meet(reply.contacts);
  const listed = new Set(contacts.map((each) => keyOf(each.username)));
  const local = users.map(({ username, country, online }) => ({
    address: username,
    name: app.store.displayName(username),
    country,
    online,
    contact: listed.has(keyOf(username)),
    me: app.store.isMe(username),
  }));
  const known = new Set(local.map((each) => keyOf(each.address)));
  const elsewhere = contacts
    .filter((each) => !known.has(keyOf(each.username)))
    .map(({ username, online }) => ({
      address: username,
      name: app.store.displayName(username),
      country: "",
      online,
      contact: true,
      me: false,
    }));
  return [...local, ...elsewhere].sort(
    (one, other) => Number(other.online) - Number(one.online) || one.name.localeCompare(other.name),
  );
}

/**
 * @param {Person[]} people
 * @param {string} typed
 */
function matching(people, typed) {
  return people.filter((each) => matches(typed, each.address, each.name, each.country));
}

/**
 * @param {App} app
 * @param {Person[]} people
 * @param {string} typed
 * @param {(address: string) => unknown} check
 */
function list(app, people, typed, check) {
  if (typed) return narrowed(app, people, typed, check);
  const contacts = people.filter((each) => each.contact && !each.me);
  const active = people.filter((each) => each.online && !each.contact && !each.me);
  const rest = people.filter((each) => !(each.contact || each.online) || each.me);
  if (people.every((each) => each.me)) {
    return [emptyState(t("newchat.nobody"), t("newchat.nobody-hint"), null, "user-plus")];
  }
  return [
    part(app, t("newchat.contacts"), contacts),
    part(app, t("newchat.active"), active),
    part(app, t("newchat.everyone", { realm: app.store.realm }), rest),
  ];
}

/**
 * @param {App} app
 * @param {Person[]} people
 * @param {string} typed
 * @param {(address: string) => unknown} check
 */
function narrowed(app, people, typed, check) {
  const found = matching(people, typed);
  const address = parseAddress(typed);
  const known = found.some((each) => keyOf(each.address) === keyOf(typed));
  const direct =
    address &&
    !known &&
    row({
      key: "direct",
      title: t("newchat.go", { address: address.text }),
      subtitle: address.realm ? t("newchat.go-remote", { realm: address.realm }) : t("newchat.go-local"),
      picture: h("span", { class: "row-icon" }, icon("mail")),
      onClick: () => check(address.text),
    });
  return [
    found.length
      ? part(app, t("newchat.found"), found)
      : h("p", { class: "aside" }, t("newchat.nomatch", { text: typed }), " ", t("newchat.nomatch-hint")),
    direct ? rows(t("newchat.go", { address: typed }), [direct]) : null,
  ];
}

/**
 * @param {App} app
 * @param {string} title
 * @param {Person[]} people
 */
function part(app, title, people) {
  if (!people.length) return null;
  const cut = people.length - MAX;
  return section(
    title,
    rows(
      title,
      people.slice(0, MAX).map((each) => person(app, each)),
    ),
    cut > 0 && h("p", { class: "aside" }, t("panels.remaining", { n: cut })),
  );
}

/**
 * @param {App} app
 * @param {Person} person
 */
function person(app, { address, name, country, online, me }) {
  const realm = realmOf(address);
  const status = app.store.status(address);
  return personRow({
    address,
    name,
    online,
    picture: app.store.pictureOf(address),
    note: [
      status && bdi(status),
      country && h("bdi", { dir: "auto" }, country),
      realm && t("groups.elsewhere", { realm }),
      me && tag(t("panels.you")),
    ],
    href: hashOf(app.store.place("u", address)),
  });
}
