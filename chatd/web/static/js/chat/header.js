// @ts-check
/** The header of a conversation: its name, who is online, and its menu. */

import { fill, h } from "../dom.js";
import { t } from "../i18n.js";
import { isImported } from "../keys.js";
import { tError } from "../refusals.js";
import { hashOf } from "../router.js";
import { avatar, confirm, icon, pageHeader } from "../ui.js";
import { menu } from "./menu.js";
import { preferenceItems } from "./preferences.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {import("../types.js").Conversation} Conversation */
/** @typedef {import("../types.js").Place} Place */
/** @typedef {import("./menu.js").MenuItem} MenuItem */

export class Header {
  #app;
  #place;
  /** What is shown now, so that an update without changes keeps the elements and the focus. */
  #shown = "";
  #picture;
  #about;
  #pins;

  /**
   * @param {App} app
   * @param {Place} place
   * @param {() => void} pins shows the pinned messages
   */
  constructor(app, place, pins) {
    this.#app = app;
    this.#place = place;
    this.#pins = pins;
    this.#picture = h("div", { class: "chat-picture", "aria-hidden": "true" });
    this.#about = h("span", { class: "chat-about" });
    this.node = pageHeader({
      title: this.name,
      subtitle: this.#about,
      back: "#/",
      picture: this.#picture,
      actions: [menu(t("chat.menu"), () => this.#items())],
    });
    this.node.classList.add("chat-head");
    this.update();
  }

  /** The conversation's name. */
  get name() {
    const { store } = this.#app;
    if (this.#place.kind === "g") return store.groupName(this.#place);
    return store.isMe(this.#place.name) ? t("chat.self") : store.displayName(this.#place.name);
  }

  update() {
    const found = this.#app.store.conversation(this.#place);
    const typing = this.#app.log.typing(this.#place).map((who) => this.#app.store.displayName(who));
    const picture = this.#app.store.picture(this.#place);
    const status = this.#app.store.status(this.#place.name);
    const { online, away, members, code, closed, visibility, rescue } = found ?? {};
    const facts = [online, away, members, code, closed, visibility, rescue];
    const looks = JSON.stringify([this.name, picture, status, ...facts, typing]);
    if (looks === this.#shown) return;
    this.#shown = looks;
    const title = this.node.querySelector("h1");
    if (title !== null && title.textContent !== this.name) title.textContent = this.name;
    const group = this.#place.kind === "g";
    fill(this.#picture, avatar(this.name, group ? undefined : online, this.#app.store.looks(this.#place)));
    const about = group ? this.#aboutGroup(found) : this.#aboutPerson(found);
    fill(this.#about, ...(typing.length > 0 ? [this.#typing(typing)] : about));
  }

  /** @param {string[]} names */
  #typing(names) {
    const [name] = names;
    const text = this.#place.kind === "u" ? t("chat.typing") : t("chat.typing.who", { n: names.length, name });
    return h("span", { class: "chat-typing" }, text);
  }

  /**
   * @param {Conversation | undefined} found
   */
  #aboutPerson(found) {
    if (isImported(this.#place.name)) return [h("span", null, t("chat.imported.place"))];
    const parts = [];
    if (this.name !== this.#place.name) parts.push(h("bdi", null, this.#place.name));
    if (found?.online !== undefined) {
      parts.push(h("span", null, t(`ui.${found.online ? (found.away ? "away" : "online") : "offline"}`)));
    }
    const status = this.#app.store.status(this.#place.name);
    if (status) parts.push(h("bdi", null, status));
    return parts;
  }

  /**
   * @param {Conversation | undefined} found
   */
  #aboutGroup(found) {
    const parts = [];
    if (this.name !== this.#place.name) parts.push(h("bdi", { class: "chat-name" }, this.#place.name));
    if (found?.members) {
      // Only its home knows how many members a group elsewhere has.
      const elsewhere = this.#place.name.includes("@");
      const text = elsewhere ? t("chat.members.some") : t("chat.members", { n: found.members });
      parts.push(h("a", { class: "chat-members", href: `${hashOf(this.#place)}/members` }, text));
    }
    // The code of a private group is long and secret: the menu and the page of the members have it.
    if (found?.code && found.visibility !== "private") {
      const label = t("chat.code.copy", { code: found.code });
      parts.push(
        h(
          "button",
          {
            class: "chat-code",
            type: "button",
            title: label,
            "aria-label": label,
            on: { click: () => this.#copy() },
          },
          t("chat.code"),
          " ",
          h("code", null, found.code),
          icon("copy"),
        ),
      );
    }
    if (found?.closed) parts.push(h("span", { class: "chat-closed" }, t("chat.closed")));
    if (found?.rescue) parts.push(h("span", { class: "chat-rescue" }, t("chat.rescue", { to: found.rescue })));
    return parts;
  }

  /**
   * @returns {MenuItem[]}
   */
  #items() {
    const found = this.#app.store.conversation(this.#place);
    /** @type {MenuItem[]} */
    const items = [];
    if (found?.unread) items.push({ label: t("chat.mark"), icon: "check", onClick: () => this.#mark() });
    if (isImported(this.#place.name)) return [...items, ...preferenceItems(this.#app, found)];
    items.push({ label: t("chat.pins"), icon: "pin", onClick: this.#pins });
    items.push(...preferenceItems(this.#app, found));
    return [...items, ...(this.#place.kind === "g" ? this.#groupItems(found) : this.#personItems())];
  }

  /**
   * @returns {MenuItem[]}
   */
  #personItems() {
    const user = this.#place.name;
    return [
      {
        label: t("chat.contact.add"),
        icon: "user-plus",
        onClick: () => this.#ask("addcontact", { user }, t("chat.contact.added", { name: this.name })),
      },
      { label: t("chat.search"), icon: "search", href: "#/search" },
    ];
  }

  /**
   * @param {Conversation | undefined} found
   * @returns {MenuItem[]}
   */
  #groupItems(found) {
    const group = this.#place.name;
    /** @type {MenuItem[]} */
    const items = [
      { label: t("chat.members.show"), icon: "groups", href: `${hashOf(this.#place)}/members` },
      { label: t("chat.search"), icon: "search", href: "#/search" },
    ];
    if (found?.code) items.push({ label: t("chat.code.menu"), icon: "copy", onClick: () => this.#copy() });
    if (found?.admin && found.visibility !== "private") {
      const [verb, name, picture] = found.closed
        ? /** @type {const} */ (["opengroup", "open", "unlock"])
        : /** @type {const} */ (["closegroup", "close", "lock"]);
      items.push({
        label: t(`chat.group.${name}`),
        icon: picture,
        onClick: () => this.#ask(verb, { group }, t(`chat.group.${name}.done`)),
      });
    }
    items.push({ label: t("chat.leave"), icon: "leave", danger: true, onClick: () => this.#leave() });
    return items;
  }

  #mark() {
    const found = this.#app.store.conversation(this.#place);
    if (found !== undefined) this.#app.store.markRead(this.#place, found.seq);
  }

  async #copy() {
    const code = this.#app.store.conversation(this.#place)?.code ?? "";
    try {
      await navigator.clipboard.writeText(code);
      this.#app.toast(t("chat.code.copied", { code }), "success");
    } catch {
      this.#app.toast(t("chat.code.by-hand", { code }));
    }
  }

  async #leave() {
    const group = this.#place.name;
    const called = { group: this.name };
    const sure = await confirm({
      title: t("chat.leave.title", called),
      text: t("chat.leave.text"),
      action: t("chat.leave"),
      danger: true,
    });
    if (!sure || !(await this.#ask("leavegroup", { group }, t("chat.left", called)))) return;
    this.#app.router.go("#/");
  }

  /**
   * Sends a command and shows the outcome. Resolves to whether it succeeded.
   * @param {string} command
   * @param {Record<string, unknown>} args
   * @param {string} done
   */
  async #ask(command, args, done) {
    try {
      await this.#app.connection.request(command, args);
    } catch (error) {
      this.#app.toast(tError(error), "error");
      return false;
    }
    this.#app.toast(done, "success");
    void this.#app.store.refresh();
    return true;
  }
}
