// @ts-check
/** Actions on a group: inviting and removing people, making admins, closing it, leaving it. */

import { fill, h } from "../dom.js";
import { t } from "../i18n.js";
import { button, confirm, field, form } from "../ui.js";
import { attempt } from "./live.js";
import { parseAddress, splitPeople } from "./names.js";
import { listed, section, sentence } from "./page.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {import("../views/members.js").Member} Member */

/**
 * A form to invite people.
 * @param {App} app
 * @param {string} group
 * @param {() => void} changed
 */
export function inviteForm(app, group, changed) {
  const who = field({
    label: t("members.invite-who"),
    name: "users",
    hint: t("members.invite-hint"),
    required: true,
    codes: ["unknown-user", "unknown-realm", "bad-name"],
    check: (text) => (splitPeople(text).every(parseAddress) ? null : t("newchat.bad")),
  });
  const report = h("div", { class: "report", role: "status" });
  who.input.addEventListener("input", () => fill(report));
  const invite = async () => {
    fill(report);
    const reply = await app.connection.request("invite", { group, users: splitPeople(who.value) });
    const line = (/** @type {string} */ key, /** @type {string[]} */ names) =>
      names.length > 0 &&
      h("p", null, ...sentence(key, { names: listed(names.map((each) => app.store.displayName(each))) }));
    fill(
      report,
      line("members.invited", reply.joined),
      line("members.asked", reply.invited ?? []),
      !reply.joined.length && !reply.invited?.length && h("p", null, t("members.invited-none")),
      line("members.present", reply.members),
      line("members.unknown", reply.unknown),
      line("members.no-room", reply.refused ?? []),
    );
    if (!reply.unknown.length) who.value = "";
    changed();
  };
  return section(
    t("members.invite"),
    form([who], invite, {
      submit: t("members.invite-button"),
      class: "form-line",
      label: t("members.invite"),
    }),
    report,
  );
}

/**
 * @param {App} app
 * @param {string} group
 * @param {string} user
 * @param {() => void} changed
 */
export async function makeAdmin(app, group, user, changed) {
  const name = app.store.displayName(user);
  const sure = await confirm({
    title: t("members.promote-ask", { name, group }),
    text: t("members.promote-text"),
    action: t("members.promote"),
  });
  if (!sure) return;
  const request = () => app.connection.request("promote", { group, user });
  await attempt(app, request, () => t("members.promoted", { name }));
  changed();
}

/**
 * @param {App} app
 * @param {string} group
 * @param {string} user
 * @param {() => void} changed
 */
export async function remove(app, group, user, changed) {
  const name = app.store.displayName(user);
  const sure = await confirm({
    title: t("members.remove-ask", { name, group }),
    text: t("members.remove-text"),
    action: t("members.remove"),
    danger: true,
  });
  if (!sure) return;
  const request = () => app.connection.request("kick", { group, user });
  await attempt(app, request, () => t("members.removed", { name, group }));
  changed();
}

/**
 * Who may post to the group, with a button for admins. Unknown for groups of other realms.
 * @param {App} app
 * @param {string} group
 * @param {{closed: boolean | null}} found
 * @param {boolean} amAdmin
 * @param {() => unknown} changed
 */
export function postingSection(app, group, { closed }, amAdmin, changed) {
  if (closed === null && !amAdmin) return null;
  const change = (/** @type {boolean} */ close) => async () => {
    const request = () => app.connection.request(close ? "closegroup" : "opengroup", { group });
    if (await attempt(app, request, () => t(close ? "members.closed" : "members.opened", { group })))
      changed();
  };
  const is = closed === null ? t("members.not-known") : t(closed ? "members.is-closed" : "members.is-open");
  return section(
    t("members.posting"),
    h("p", null, is),
    amAdmin &&
      h(
        "div",
        { class: "form-actions" },
        closed !== true &&
          button(t("members.close"), {
            icon: "lock",
            dataset: { key: "posting\nclose" },
            onClick: change(true),
          }),
        closed !== false &&
          button(t("members.open"), {
            icon: "unlock",
            dataset: { key: "posting\nopen" },
            onClick: change(false),
          }),
      ),
  );
}

/**
 * @param {App} app
 * @param {string} group
 * @param {() => Member[]} known its current members
 */
export function leaveSection(app, group, known) {
  const leave = async () => {
    const members = known();
    const others = members.filter((each) => !app.store.isMe(each.username));
    const admins = members.filter((each) => each.admin);
    const alone = admins.length === 1 && app.store.isMe(admins[0].username);
    const also = !others.length ? t("members.leave-last") : alone ? t("members.leave-last-admin") : null;
    const sure = await confirm({
      title: t("members.leave-ask", { group }),
      text: [t("members.leave-text"), also && [h("br"), also]].flat(),
      action: t("members.leave"),
      danger: true,
    });
    if (!sure) return;
    const request = () => app.connection.request("leavegroup", { group });
    const gone = await attempt(app, request, () => t("members.left", { group }));
    if (!gone) return;
    await app.store.refresh();
    app.router.go("#/groups");
  };
  return section(
    t("members.leave"),
    h("p", null, t("members.leave-text")),
    button(t("members.leave"), { kind: "danger", icon: "leave", onClick: leave }),
  );
}
