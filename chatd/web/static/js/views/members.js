// @ts-check
/** The members of a group, and actions for members and admins. */

import { fill, h } from "../dom.js";
import { ChatError } from "../errors.js";
import { t } from "../i18n.js";
import { filtered } from "../panels/filter.js";
import { attempt, keepFocus, live } from "../panels/live.js";
import { bansSection, settingsSection } from "../panels/groupsettings.js";
import { codeBox } from "../panels/joinlink.js";
import { inviteForm, leaveSection, makeAdmin, unmake } from "../panels/membership.js";
import { portrait } from "../panels/portrait.js";
import { matches, realmOf } from "../panels/names.js";
import { bdi, page, personRow, section, sentence, tag } from "../panels/page.js";
import { hashOf } from "../router.js";
import { button, emptyState, iconButton } from "../ui.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {{username: string, admin: boolean, online: boolean}} Member */
/** @typedef {import("../panels/groupsettings.js").Details} Details */
/** @typedef {{members: Member[], details: Details | null}} Found `details` is null if the group's realm does not tell them */

const INTERVAL = 60_000; // ms: other realms, and large groups, do not tell who is online

/**
 * @param {App} app
 * @param {Record<string, string>} params
 * @returns {import("../types.js").View}
 */
export function view(app, { group }) {
  const place = app.store.place("g", group);
  const realm = realmOf(place.name);
  const changed = () => {
    void shown.refresh();
    void bans?.refresh();
    // The realm does not tell a connection of its own changes.
    void app.store.refresh();
  };
  const invite = inviteForm(app, place.name, changed);
  /** @type {Member[]} */
  let people = [];
  /** @type {boolean | null} */
  let ruled = null; // whether `rules` shows what admins see
  const rules = h("div", { class: "parts" });
  /** @type {ReturnType<typeof bansSection> | null} */
  let bans = null;
  /** @type {ReturnType<typeof portrait> | null} */
  let picture = null;
  const below = h(
    "div",
    { class: "parts", hidden: true },
    rules,
    leaveSection(app, place.name, () => people),
  );
  const list = filtered({
    label: t("panels.filter"),
    title: t("members.title", { group: place.name }),
    fits: (/** @type {Member} */ each, typed) =>
      matches(typed, each.username, app.store.displayName(each.username)),
    row: (each) => memberRow(app, place.name, each, amAdmin, changed),
    empty: () => h("p", { class: "aside" }, t("panels.loading")),
  });
  let amAdmin = false;

  const shown = live(app, {
    load: () => lookUp(app, place.name),
    show: (found) => {
      amAdmin = found.members.some((each) => each.admin && app.store.isMe(each.username));
      invite.hidden = !amAdmin;
      if (amAdmin !== ruled) {
        bans?.destroy();
        picture?.destroy();
        bans = amAdmin ? bansSection(app, place.name) : null;
        picture = amAdmin && !realm ? portrait(app, place) : null;
        const pictured = picture && section(t("members.picture"), picture.node);
        keepFocus(rules, () => fill(rules, pictured, bans?.node));
      }
      ruled = amAdmin;
      people = found.members;
      below.hidden = false;
      return [
        realm && h("p", { class: "aside" }, ...sentence("members.remote", { realm: bdi(realm) })),
        found.details?.code && codeBox(app, place.name, found.details, changed),
        found.details && settingsSection(app, place.name, found.details, changed),
        section(t("members.people", { n: found.members.length }), list(found.members)),
      ];
    },
    every: INTERVAL,
    events: ["presence", "profile", "member", "group"],
    failed: (error) => {
      const instead = outsiderPage(app, place.name, error);
      if (instead) invite.hidden = below.hidden = true;
      return instead;
    },
  });
  invite.hidden = true;
  const chat = iconButton("chats", t("members.to-chat"), { href: hashOf(place) });
  return {
    title: t("members.title", { group: place.name }),
    node: page(
      { title: t("members.heading"), subtitle: bdi(place.name), back: hashOf(place), actions: [chat] },
      shown.node,
      invite,
      below,
    ),
    destroy: () => {
      shown.destroy();
      bans?.destroy();
      picture?.destroy();
    },
  };
}

/**
 * @param {App} app
 * @param {string} group
 * @returns {Promise<Found>}
 */
async function lookUp(app, group) {
  const [reply, details] = await Promise.all([
    app.connection.request("members", { group }),
    app.connection.request("group", { group }).catch(untold),
    app.store.users(),
  ]);
  app.store.meet(reply.members);
  return { members: reply.members, details: /** @type {Details | null} */ (details) };
}

/** The details are null if the realm of a group refuses to tell them. @param {unknown} error @returns {null} */
function untold(error) {
  if (error instanceof ChatError) return null;
  throw error;
}

/**
 * The page for people who are not in the group.
 * @param {App} app
 * @param {string} group
 * @param {unknown} error
 */
function outsiderPage(app, group, error) {
  const code = error instanceof ChatError ? error.code : "";
  const groups = button(t("members.to-groups"), { href: "#/groups" });
  if (code === "unknown-group")
    return emptyState(t("members.no-group"), t("members.no-group-hint"), groups, "groups");
  if (code !== "not-member") return null;
  const join = () =>
    attempt(
      app,
      () => app.connection.request("joingroup", { group }),
      () => {
        void app.store.refresh();
        app.router.refresh();
        return t("groups.joined", { group });
      },
    );
  return emptyState(
    t("members.not-yours"),
    t("members.not-yours-hint"),
    [button(t("groups.join-this", { group }), { kind: "primary", onClick: join }), groups],
    "lock",
  );
}

/**
 * @param {App} app
 * @param {string} group
 * @param {Member} member
 * @param {boolean} amAdmin
 * @param {() => void} changed
 */
function memberRow(app, group, { username, admin, online }, amAdmin, changed) {
  const me = app.store.isMe(username);
  const shown = app.store.displayName(username);
  const promote = () => makeAdmin(app, group, username, changed);
  const demote = () => unmake(app, group, username, "demote", changed);
  const out = () => unmake(app, group, username, "kick", changed);
  return personRow({
    address: username,
    name: shown,
    online,
    picture: app.store.pictureOf(username),
    note: [admin && tag(t("members.admin"), "good"), me && tag(t("panels.you"))],
    href: me ? undefined : hashOf(app.store.place("u", username)),
    actions:
      amAdmin && !me
        ? [
            admin
              ? iconButton("down", t("members.demote-who", { name: shown }), { onClick: demote })
              : iconButton("crown", t("members.promote-who", { name: shown }), { onClick: promote }),
            iconButton("leave", t("members.kick-who", { name: shown }), { onClick: out }),
          ]
        : [],
  });
}
