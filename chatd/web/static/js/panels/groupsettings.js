// @ts-check
/** The settings of a group: what members see of them, and the forms for its admins. */

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { button, confirm, dialog, field, form } from "../ui.js";
import { attempt, live } from "./live.js";
import { noted, personRow, rows, section } from "./page.js";

/** @typedef {import("../types.js").App} App */
/**
 * @typedef {{
 *   title: string, topic: string, visibility: "public" | "private", past: "all" | "joined",
 *   post: "members" | "anyone", admin: boolean, code?: string,
 * }} Details the reply of `group`
 */

/** Private or public. @param {string} [value] */
export function visibilityField(value = "private") {
  const name = "visibility";
  const options = ["private", "public"].map((each) => ({ value: each, label: t(`group.${name}.${each}`) }));
  return field({ name, label: t("group.visibility"), hint: t("group.visibility-hint"), type: "select", value, options });
}

/**
 * The settings, with a button for admins.
 * @param {App} app
 * @param {string} group
 * @param {Details} details
 * @param {() => void} changed
 */
export function settingsSection(app, group, details, changed) {
  const { title, topic, visibility, past, post, admin } = details;
  const shown = [t(`group.visibility.${visibility}`), t(`group.past-is.${past}`), t(`group.post-is.${post}`)];
  const edit = button(t("group.change"), {
    icon: "edit",
    dataset: { key: "settings\n" },
    onClick: () => settingsDialog(app, group, details, changed),
  });
  return section(
    t("group.settings"),
    title && h("p", { dir: "auto" }, h("strong", null, title)),
    topic && h("p", { dir: "auto" }, topic),
    h("p", { class: "quiet" }, ...noted(...shown)),
    admin && h("div", { class: "form-actions" }, edit),
  );
}

/**
 * @param {App} app
 * @param {string} group
 * @param {Details} details
 * @param {() => void} changed
 */
function settingsDialog(app, group, details, changed) {
  const codes = ["bad-text", "bad-argument"];
  const text = (/** @type {"title" | "topic"} */ name) =>
    field({ name, label: t(`group.${name}`), value: details[name], hint: t(`group.${name}-hint`), codes });
  const select = (/** @type {"past" | "post"} */ name, /** @type {string[]} */ values) => {
    const options = values.map((value) => ({ value, label: t(`group.${name}.${value}`) }));
    return field({ name, label: t(`group.${name}`), type: "select", value: details[name], options });
  };
  const visibility = visibilityField(details.visibility);
  const post = select("post", ["members", "anyone"]);
  const allowed = () => {
    // Only members post to a private group.
    post.input.disabled = visibility.value === "private";
    if (post.input.disabled) post.value = "members";
  };
  allowed();
  visibility.input.addEventListener("change", allowed);
  const save = async (/** @type {Record<string, string>} */ values) => {
    // `post` has no effect while the group is private, so it is set when that ends.
    const anew = values.visibility !== details.visibility ? "post" : "";
    const wanted = Object.entries(values).filter(
      ([key, value]) => key === anew || value.trim() !== details[/** @type {keyof Details} */ (key)],
    );
    if (wanted.length) {
      await app.connection.request("setgroup", { group, ...Object.fromEntries(wanted) });
      app.toast(t("group.saved"), "success");
      changed();
    }
    close();
  };
  const fields = [text("title"), text("topic"), visibility, select("past", ["all", "joined"]), post];
  const close = dialog(t("group.settings-of", { group }), form(fields, save));
}

/**
 * A button that replaces the code of a group.
 * @param {App} app
 * @param {string} group
 * @param {() => void} changed
 */
export function renewButton(app, group, changed) {
  const renew = async () => {
    const sure = await confirm({
      title: t("group.renew-ask", { group }),
      text: t("group.renew-text"),
      action: t("group.renew"),
      danger: true,
    });
    if (!sure) return;
    const request = () => app.connection.request("renewcode", { group });
    await attempt(app, request, ({ groupcode }) => t("group.renewed", { code: groupcode }));
    changed();
  };
  return button(t("group.renew"), { icon: "retry", dataset: { key: "renew\n" }, onClick: renew });
}

/**
 * Whom the admins have banned, with buttons that lift the bans.
 * @param {App} app
 * @param {string} group
 */
export function bansSection(app, group) {
  const list = live(app, {
    load: async () => /** @type {{username: string}[]} */ ((await app.connection.request("bans", { group })).bans),
    show: (banned) => {
      if (!banned.length) return [h("p", { class: "quiet" }, t("group.bans-none"))];
      return [rows(t("group.bans"), banned.map(({ username }) => banRow(username)))];
    },
    events: ["member"],
  });
  /** @param {string} user */
  const banRow = (user) => {
    const name = app.store.displayName(user);
    const lift = async () => {
      const request = () => app.connection.request("unban", { group, user });
      await attempt(app, request, () => t("group.unbanned", { name, group }));
      await list.refresh();
    };
    const label = t("group.unban-who", { name });
    const lifting = button(t("group.unban"), { kind: "small", onClick: lift, "aria-label": label });
    return personRow({ address: user, name, picture: app.store.pictureOf(user), actions: [lifting] });
  };
  return {
    node: section(t("group.bans"), list.node),
    refresh: () => list.refresh(),
    destroy: () => list.destroy(),
  };
}
