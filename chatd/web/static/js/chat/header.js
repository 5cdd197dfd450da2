// @ts-check
/** The head of a conversation: with whom, who of them is there, and what else can be done with it. */

import { fill, h } from "../dom.js";
import { t, tError } from "../i18n.js";
import { hashOf } from "../router.js";
import { avatar, confirm, icon, pageHeader } from "../ui.js";
import { menu } from "./menu.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {import("../types.js").Conversation} Conversation */
/** @typedef {import("../types.js").Place} Place */
/** @typedef {import("./menu.js").MenuItem} MenuItem */

export class Header {
  /**
   * @param {App} app
   * @param {Place} place
   */
  constructor(app, place) {
    /** @private */
    this._app = app;
    /** @private */
    this._place = place;
    /** @private What is shown, so that nothing is made anew (and loses its focus) for nothing. */
    this._shown = "";
    this._picture = h("div", { class: "chat-picture", "aria-hidden": "true" });
    this._about = h("span", { class: "chat-about" });
    this.node = pageHeader({
      title: this.name,
      subtitle: this._about,
      back: "#/",
      picture: this._picture,
      actions: [menu(t("chat.menu"), () => this._items())],
    });
    this.node.classList.add("chat-head");
    this.update();
  }

  /** What the conversation is called. */
  get name() {
    const { store } = this._app;
    if (this._place.kind === "g") return this._place.name;
    return store.isMe(this._place.name) ? t("chat.self") : store.displayName(this._place.name);
  }

  update() {
    const found = this._app.store.conversation(this._place);
    const looks = JSON.stringify([this.name, found?.online, found?.members, found?.code, found?.closed]);
    if (looks === this._shown) return;
    this._shown = looks;
    const title = this.node.querySelector("h1");
    if (title !== null && title.textContent !== this.name) title.textContent = this.name;
    const group = this._place.kind === "g";
    const online = group || this._isRemote() || found === undefined ? undefined : found.online;
    fill(this._picture, avatar(this.name, online, { kind: group ? "group" : "user" }));
    fill(this._about, ...(group ? this._aboutGroup(found) : this._aboutPerson(found)));
  }

  /** @private */
  _isRemote() {
    return this._place.name.includes("@");
  }

  /**
   * @private
   * @param {Conversation | undefined} found
   */
  _aboutPerson(found) {
    const parts = [];
    if (this.name !== this._place.name) parts.push(h("bdi", null, this._place.name));
    if (!this._isRemote() && found?.online !== undefined) {
      parts.push(h("span", null, t(found.online ? "chat.online" : "chat.offline")));
    }
    return parts;
  }

  /**
   * @private
   * @param {Conversation | undefined} found
   */
  _aboutGroup(found) {
    const parts = [];
    if (found?.members) {
      const text = t("chat.members", { n: found.members });
      parts.push(h("a", { class: "chat-members", href: `${hashOf(this._place)}/members` }, text));
    }
    if (found?.code) {
      const label = t("chat.code.copy", { code: found.code });
      parts.push(
        h(
          "button",
          {
            class: "chat-code",
            type: "button",
            title: label,
            "aria-label": label,
            on: { click: () => this._copy() },
          },
          t("chat.code"),
          " ",
          h("code", null, found.code),
          icon("copy"),
        ),
      );
    }
    if (found?.closed) parts.push(h("span", { class: "chat-closed" }, t("chat.closed")));
    return parts;
  }

  /**
   * @private
   * @returns {MenuItem[]}
   */
  _items() {
    const found = this._app.store.conversation(this._place);
    /** @type {MenuItem[]} */
    const items = [];
    if (found?.unread) items.push({ label: t("chat.mark"), icon: "check", onClick: () => this._mark() });
    return [...items, ...(this._place.kind === "g" ? this._groupItems(found) : this._personItems())];
  }

  /**
   * @private
   * @returns {MenuItem[]}
   */
  _personItems() {
    const user = this._place.name;
    return [
      {
        label: t("chat.contact.add"),
        icon: "user-plus",
        onClick: () => this._ask("addcontact", { user }, t("chat.contact.added", { name: this.name })),
      },
      { label: t("chat.search"), icon: "search", href: "#/search" },
    ];
  }

  /**
   * @private
   * @param {Conversation | undefined} found
   * @returns {MenuItem[]}
   */
  _groupItems(found) {
    const group = this._place.name;
    /** @type {MenuItem[]} */
    const items = [
      { label: t("chat.members.show"), icon: "groups", href: `${hashOf(this._place)}/members` },
      { label: t("chat.search"), icon: "search", href: "#/search" },
    ];
    if (found?.code) items.push({ label: t("chat.code.menu"), icon: "copy", onClick: () => this._copy() });
    if (found?.admin) {
      const [verb, name, picture] = found.closed
        ? /** @type {const} */ (["opengroup", "open", "unlock"])
        : /** @type {const} */ (["closegroup", "close", "lock"]);
      items.push({
        label: t(`chat.group.${name}`),
        icon: picture,
        onClick: () => this._ask(verb, { group }, t(`chat.group.${name}.done`)),
      });
    }
    items.push({ label: t("chat.leave"), icon: "leave", danger: true, onClick: () => this._leave() });
    return items;
  }

  /** @private */
  _mark() {
    const found = this._app.store.conversation(this._place);
    if (found !== undefined) this._app.store.markRead(this._place, found.seq);
  }

  /** @private */
  async _copy() {
    const code = this._app.store.conversation(this._place)?.code ?? "";
    try {
      await navigator.clipboard.writeText(code);
      this._app.toast(t("chat.code.copied", { code }), "success");
    } catch {
      this._app.toast(t("chat.code.by-hand", { code }));
    }
  }

  /** @private */
  async _leave() {
    const group = this._place.name;
    const sure = await confirm({
      title: t("chat.leave.title", { group }),
      text: t("chat.leave.text"),
      action: t("chat.leave"),
      danger: true,
    });
    if (!sure || !(await this._ask("leavegroup", { group }, t("chat.left", { group })))) return;
    this._app.router.go("#/");
  }

  /**
   * Has something done, and says so; whether it was.
   * @private
   * @param {string} command
   * @param {Record<string, unknown>} args
   * @param {string} done
   */
  async _ask(command, args, done) {
    try {
      await this._app.connection.request(command, args);
    } catch (error) {
      this._app.toast(tError(error), "error");
      return false;
    }
    this._app.toast(done, "success");
    void this._app.store.refresh();
    return true;
  }
}
