// @ts-check
/** Actions on a group's members: inviting and removing them, changing their roles, leaving. */

import { fill, h } from "../dom.js";
import { t } from "../i18n.js";
import { button, confirm, dialog, field, form } from "../ui.js";
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
    codes: ["unknown-user", "unknown-realm", "realm-not-found", "bad-name"],
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

/** What a toast says when it is done. */
const DONE = /** @type {const} */ ({
  promote: "members.promoted",
  transfer: "members.transferred",
  demote: "members.demoted",
  kick: "members.removed",
});

/**
 * Makes a member an admin, or an admin in the user's place, after a question.
 * @param {App} app
 * @param {string} group
 * @param {string} user
 * @param {() => void} changed
 */
export function makeAdmin(app, group, user, changed) {
  const name = app.store.displayName(user);
  const choice = (/** @type {"promote" | "transfer"} */ verb, /** @type {string} */ kind) => {
    const onClick = () => {
      close();
      void ask(app, group, user, verb, changed);
    };
    return button(t(`members.${verb}`), { kind, onClick });
  };
  const close = dialog(t("members.promote-ask", { name, group }), h("p", null, t("members.promote-text")), {
    actions: [button(t("ui.cancel"), { onClick: () => close() }), choice("transfer", ""), choice("promote", "primary")],
  });
}

/**
 * Makes an admin an ordinary member, or removes a member, after a question.
 * @param {App} app
 * @param {string} group
 * @param {string} user
 * @param {"demote" | "kick"} verb
 * @param {() => void} changed
 */
export async function unmake(app, group, user, verb, changed) {
  const name = app.store.displayName(user);
  const sure = await confirm({
    title: t(`members.${verb}-ask`, { name, group }),
    text: t(`members.${verb}-text`),
    action: t(`members.${verb}`),
    danger: true,
  });
  if (sure) await ask(app, group, user, verb, changed);
}

/**
 * @param {App} app
 * @param {string} group
 * @param {string} user
 * @param {keyof typeof DONE} verb
 * @param {() => void} changed
 */
async function ask(app, group, user, verb, changed) {
  const name = app.store.displayName(user);
  const request = () => app.connection.request(verb, { group, user });
  await attempt(app, request, () => t(DONE[verb], { name, group }));
  changed();
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
