// @ts-check
/** The user's groups, the other groups of the realm, and forms to make or join one. */

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { filtered } from "../panels/filter.js";
import { visibilityField } from "../panels/groupsettings.js";
import { invited } from "../panels/invited.js";
import { attempt, live } from "../panels/live.js";
import { matches, parseAddress, parseGroup, realmOf } from "../panels/names.js";
import { bdi, noted, page, row, section, sentence, tag } from "../panels/page.js";
import { hashOf, segment } from "../router.js";
import { avatar, button, dialog, emptyState, field, form, iconButton, unreadBadge } from "../ui.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {{group: string, title?: string, code: string, members: number, closed: boolean, member: boolean, admin: boolean, picture?: string}} Group */

const INTERVAL = 60_000; // ms: there are no events about groups that the user is not in

/** @param {App} app @returns {import("../types.js").View} */
export function view(app) {
  const fits = (/** @type {Group} */ each, /** @type {string} */ typed) =>
    matches(typed, each.group, each.title, each.code);
  const mine = filtered({
    label: t("panels.filter"),
    title: t("groups.mine"),
    fits,
    row: (/** @type {Group} */ group) => mineRow(app, group),
    empty: () => emptyState(t("groups.mine-none"), t("groups.mine-none-hint"), null, "groups"),
  });
  const others = filtered({
    label: t("panels.filter"),
    title: t("groups.all", { realm: app.store.realm }),
    fits,
    row: (/** @type {Group} */ group) => otherRow(app, group),
    empty: () => h("p", { class: "aside" }, t("groups.all-none")),
  });
  const shown = live(app, {
    load: async () => {
      const [all, own] = await Promise.all([
        app.connection.request("groups"),
        app.connection.request("mygroups"),
      ]);
      const rest = /** @type {Group[]} */ (all.groups).filter((each) => !each.member);
      return { mine: /** @type {Group[]} */ (own.groups), others: rest, more: Number(all.remaining ?? 0) };
    },
    show: (found) => [
      section(t("groups.mine"), mine(found.mine)),
      section(
        sentence("groups.all", { realm: bdi(app.store.realm) }),
        others(found.others),
        found.more > 0 && h("p", { class: "aside" }, t("panels.remaining", { n: found.more })),
      ),
    ],
    every: INTERVAL,
    events: ["member", "group", "conversation"],
  });
  const waiting = invited(app);
  const add = button(t("groups.add"), { kind: "primary", icon: "plus", onClick: () => askName(app) });
  return {
    title: t("groups.title"),
    node: page(
      { title: t("groups.title"), actions: [add] },
      waiting.node,
      section(t("groups.join"), joinForm(app)),
      shown.node,
    ),
    destroy: () => {
      waiting.destroy();
      shown.destroy();
    },
  };
}

/** @param {App} app */
function joinForm(app) {
  const which = field({
    label: t("groups.join-what"),
    name: "group",
    hint: t("groups.join-hint"),
    required: true,
    codes: ["unknown-group", "already-member", "unknown-realm", "realm-not-found", "realm-down", "bad-name"],
    check: (text) => (parseGroup(text) ? null : t("newchat.bad")),
  });
  const join = () => enter(app, parseGroup(which.value)?.text ?? which.value.trim());
  return form([which], join, {
    submit: t("groups.join-button"),
    class: "form-line",
    label: t("groups.join"),
  });
}

/**
 * Joins a group and opens it. Rejects with the realm's refusal.
 * @param {App} app
 * @param {string} group
 */
async function enter(app, group) {
  const reply = await app.connection.request("joingroup", { group });
  await app.store.refresh();
  app.toast(t("groups.joined", { group: reply.group }), "success");
  app.router.go(hashOf(app.store.place("g", reply.group)));
}

/** Asks for the name, the title and the visibility of a new group. @param {App} app */
function askName(app) {
  const what = field({
    label: t("groups.add-name"),
    name: "group",
    hint: t("groups.add-hint"),
    required: true,
    autofocus: true,
    maxlength: 64,
    codes: ["group-exists", "reserved-name", "bad-name"],
    check: (text) => (parseAddress(text)?.realm === null ? null : t("groups.bad")),
  });
  const title = field({
    label: t("groups.add-title"),
    name: "title",
    hint: t("groups.add-title-hint"),
    maxlength: 64,
    codes: ["bad-title"],
  });
  const visibility = visibilityField();
  const make = async () => {
    const words = title.value.trim();
    const args = {
      group: what.value.trim(),
      visibility: visibility.value,
      ...(words ? { title: words } : {}),
    };
    const reply = await app.connection.request("addgroup", args);
    await app.store.refresh();
    close();
    app.toast(t("groups.added", { group: reply.group, code: reply.groupcode }), "success");
    // Next come its members, with the code to share and a form to invite people.
    app.router.go(`#/g/${segment(reply.group)}/members`);
  };
  const close = dialog(t("groups.add"), form([what, title, visibility], make, { submit: t("groups.add-button") }));
}

/** @param {Group} group */
function facts({ group, title, code, members, closed, admin }) {
  const realm = realmOf(group);
  return noted(
    title && bdi(group),
    realm ? t("groups.elsewhere", { realm }) : t("groups.members", { n: members }),
    code && t("groups.code", { code }),
    closed && tag(t("groups.closed")),
    admin && tag(t("groups.admin"), "good"),
  );
}

/**
 * @param {App} app
 * @param {Group} group
 */
function mineRow(app, group) {
  const place = app.store.place("g", group.group);
  return row({
    key: group.group,
    title: group.title ?? group.group,
    subtitle: facts(group),
    badge: unreadBadge(app.store.conversation(place)?.unread ?? 0),
    picture: avatar(group.title ?? group.group, undefined, app.store.looks(place)),
    href: hashOf(place),
    actions: [
      iconButton("groups", t("groups.show-members", { group: group.group }), {
        href: `#/g/${segment(group.group)}/members`,
      }),
    ],
  });
}

/**
 * @param {App} app
 * @param {Group} group
 */
function otherRow(app, group) {
  const join = () =>
    attempt(
      app,
      () => enter(app, group.group),
      () => null,
    );
  return row({
    key: group.group,
    title: group.title ?? group.group,
    subtitle: facts(group),
    picture: avatar(group.title ?? group.group, undefined, { kind: "group", picture: group.picture }),
    actions: [
      button(t("groups.join-button"), {
        kind: "small",
        "aria-label": t("groups.join-this", { group: group.group }),
        onClick: join,
      }),
    ],
  });
}
