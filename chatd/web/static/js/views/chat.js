// @ts-check
/** A conversation: its header, its messages, and the composer. `#/u/<address>` and `#/g/<group>`. */

import { Composer } from "../chat/composer.js";
import { dropZone } from "../chat/dropzone.js";
import { forgetPreview, refreshUpload } from "../chat/attachments.js";
import { Header } from "../chat/header.js";
import { Announcer } from "../chat/announcer.js";
import { Thread } from "../chat/thread.js";
import { filesOf } from "../chat/tray.js";
import { uploadsOf } from "../chat/uploads.js";
import { fill, h } from "../dom.js";
import { ChatError } from "../errors.js";
import { t, tError } from "../i18n.js";
import { button, emptyState, spinner } from "../ui.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {import("../types.js").View} View */
/** @typedef {import("../types.js").Place} Place */
/** @typedef {import("../types.js").Entry} Entry */
/** @typedef {import("../types.js").Message} Message */
/** @typedef {import("../chat/uploads.js").Upload} Upload */

const PAGE = 60; // messages loaded at once
const MAX_UNREAD = 400; // messages loaded at the start, to reach the unread line

/** @type {WeakSet<App["store"]>} the stores that know everybody's name */
const learned = new WeakSet();

/**
 * @param {App} app
 * @param {Record<string, string>} params
 * @returns {View}
 */
export function view(app, params) {
  const place =
    params.group === undefined ? app.store.place("u", params.user) : app.store.place("g", params.group);
  const chat = new Chat(app, place);
  return {
    title: chat.header.name,
    node: chat.node,
    destroy: () => chat.destroy(),
    focus: () => chat.focus(),
  };
}

class Chat {
  /**
   * @param {App} app
   * @param {Place} place
   */
  constructor(app, place) {
    this.app = app;
    this.place = place;
    this.uploads = uploadsOf(app.store);
    /** @type {number | null} the seq after which the unread line is shown */
    this.unreadAfter = null;
    /** @type {"loading" | "open" | "lost" | "refused"} */
    this.state = "loading";
    /** @type {unknown} the error of `lost` and `refused` */
    this.why = null;
    this.opened = false;
    this.header = new Header(app, place);
    this.thread = this.makeThread();
    this.composer = this.makeComposer();
    this.announcer = new Announcer(app.announce, (address) => app.store.displayName(address));
    this.instead = h("div", { class: "chat-instead" });
    this.node = h(
      "div",
      { class: "chat" },
      this.header.node,
      h("div", { class: "chat-middle" }, this.thread.node, this.instead),
      this.composer.node,
    );
    this.node.addEventListener("paste", (event) => this.pasted(event));
    this.ends = [
      dropZone(this.node, (files) => this.composer.attach(files)),
      app.store.on("messages", (/** @type {Place} */ where) => where.key === place.key && this.show()),
      app.store.on("conversations", () => this.listChanged()),
      app.store.on("incoming", (/** @type {Message} */ message) => this.messageArrived(message)),
      app.store.on("removed", (/** @type {{place: Place, message: string}} */ { place: where, message }) => {
        if (where.key !== place.key) return;
        const error = new ChatError("banned", message);
        this.failed(error);
        this.announcer.destroy();
        app.announce(tError(error)); // it also replaces an announcement of a message
      }),
      app.store.on("link", () => this.linked()),
      app.outbox.on("change", (/** @type {Place} */ where) => where.key === place.key && this.show()),
      this.uploads.on((upload, whole) => this.uploaded(upload, whole)),
      listen(document, "visibilitychange", () => this.visibilityChanged()),
      listen(window, "resize", () => this.composer.fit()),
    ];
    queueMicrotask(() => void this.load()); // when the node is on the page, so that it has sizes
  }

  destroy() {
    for (const end of this.ends) end();
    this.thread.destroy();
    this.composer.destroy();
    this.announcer.destroy();
  }

  /** Focuses the composer; not on a phone, where the keyboard would cover half of the page. */
  focus() {
    this.composer.fit();
    if (matchMedia("(pointer: fine)").matches) this.composer.focus();
    else /** @type {HTMLElement | null} */ (this.node.querySelector("h1"))?.focus();
  }

  makeThread() {
    const { store, connection } = this.app;
    return new Thread({
      label: t("chat.log", { name: this.header.name }),
      hasOlder: () => this.state === "open" && store.hasOlder(this.place),
      older: () => store.loadOlder(this.place, PAGE).then(() => {}),
      seen: () => this.seen(),
      bubbles: {
        group: this.place.kind === "g",
        linked: () => connection.state === "open",
        nameOf: (address) => store.displayName(address),
        retry: (what) => ("file" in what ? this.uploads.retry(what) : this.app.outbox.retry(what.key)),
        discard: (what) => ("file" in what ? this.uploads.discard(what) : this.app.outbox.discard(what.key)),
      },
    });
  }

  makeComposer() {
    const { store } = this.app;
    return new Composer({
      place: this.place,
      username: store.me?.username ?? "",
      name: this.header.name,
      limits: store.session?.limits ?? { message: 8192, file: Infinity },
      send: (text, files) => this.send(text, files),
      page: (screens) => this.thread.page(screens),
      refused: (text) => this.app.toast(text, "error"),
    });
  }

  // Loading

  async load() {
    const { store } = this.app;
    this.state = "loading";
    this.showInstead();
    this.open(); // with messages known from before and unsent ones
    try {
      const unread = store.conversation(this.place)?.unread ?? 0;
      await store.loadNewest(this.place, Math.min(Math.max(PAGE, unread + 20), MAX_UNREAD));
      if (!store.loaded) await store.refresh();
    } catch (error) {
      this.failed(error);
      return;
    }
    this.state = "open";
    this.header.update();
    this.showInstead();
    this.open();
    void this.learnNames();
  }

  /** Shows the messages at the unread line. Later changes only update them. */
  open() {
    const { messages, pending } = this.scene();
    const whole = this.state === "open" || messages.length > 0;
    if (this.opened || !(whole || pending.length > 0)) return this.show();
    const found = this.app.store.conversation(this.place);
    if (found && found.unread > 0) this.unreadAfter = found.read;
    this.opened = whole;
    this.thread.open(this.scene());
  }

  /** Loads everybody's display names, once: the store knows only those of direct conversations. */
  async learnNames() {
    const { store } = this.app;
    const known = this.place.kind === "u" && store.conversation(this.place) !== undefined;
    if (known || this.place.name.includes("@") || learned.has(store)) return;
    learned.add(store);
    try {
      await store.users();
      this.listChanged();
      this.show();
    } catch {
      learned.delete(store); // the addresses are shown instead
    }
  }

  /** @param {unknown} error */
  failed(error) {
    const code = error instanceof ChatError ? error.code : "";
    this.state = code === "" ? "lost" : "refused";
    this.why = error;
    const closed = ["not-member", "banned"].includes(code);
    this.composer.node.hidden = closed || code.startsWith("unknown-");
    this.showInstead();
  }

  again() {
    this.composer.node.hidden = false;
    void this.load();
  }

  async join() {
    try {
      await this.app.connection.request("joingroup", { group: this.place.name });
      void this.app.store.refresh();
      this.again();
    } catch (error) {
      this.app.toast(tError(error), "error");
    }
  }

  // Showing

  scene() {
    const { store, outbox } = this.app;
    const pending = [...outbox.entries(this.place), ...this.uploads.of(this.place)];
    return {
      messages: store.messages(this.place),
      pending: pending.sort((one, other) => one.at - other.at),
      isMe: (/** @type {string} */ address) => store.isMe(address),
      unreadAfter: this.unreadAfter,
    };
  }

  show() {
    this.showInstead();
    if (this.state === "refused") return;
    if (!this.opened && this.scene().pending.length > 0) this.thread.open(this.scene());
    else this.thread.update(this.scene());
  }

  /** What is shown instead of messages: a spinner, an error, or a hint. */
  showInstead() {
    const { messages, pending } = this.scene();
    const hidden = this.state !== "refused" && messages.length + pending.length > 0;
    this.instead.hidden = hidden;
    this.thread.node.hidden = !hidden;
    const looks = `${this.state} ${this.header.name}`;
    if (hidden || this.instead.dataset.looks === looks) return;
    this.instead.dataset.looks = looks;
    fill(this.instead, this.insteadNode());
  }

  insteadNode() {
    const { name } = this.header;
    const group = this.place.kind === "g";
    switch (this.state) {
      case "loading":
        return spinner();
      case "open": {
        const hint = t(group ? "chat.empty.group" : "chat.empty.person");
        return emptyState(t("chat.empty", { name }), hint, null, "chats");
      }
      case "lost": {
        const again = button(t("chat.again"), { kind: "primary", onClick: () => this.again() });
        return emptyState(t("chat.lost"), t("chat.lost.hint"), again, "alert");
      }
      default:
        return this.refusal();
    }
  }

  /** Why the realm refuses to show the conversation, and what to do. */
  refusal() {
    const code = this.why instanceof ChatError ? this.why.code : "";
    const { kind, name } = this.place;
    const again = button(t("chat.again"), { kind: "primary", onClick: () => this.again() });
    const join = button(t("chat.join", { group: name }), {
      kind: "primary",
      onClick: () => void this.join(),
    });
    const others = kind === "g" ? { href: "#/groups" } : { href: "#/new" };
    const back = button(t(kind === "g" ? "chat.elsewhere.group" : "chat.elsewhere"), others);
    if (code === "not-member") return emptyState(t("chat.failed"), tError(this.why), [join, back], "groups");
    if (code === "banned") return emptyState(t("chat.failed"), tError(this.why), back, "groups");
    if (!code.startsWith("unknown-")) return emptyState(t("chat.failed"), tError(this.why), again, "alert");
    return emptyState(t("chat.failed.unknown", { name }), tError(this.why), back, "search");
  }

  listChanged() {
    this.header.update();
    this.app.setTitle(`${this.header.name} · ${this.app.store.realm}`);
  }

  linked() {
    const { connection } = this.app;
    if (connection.state === "open" && this.state === "lost") this.again();
    else this.show();
  }

  /** The page has become visible or hidden. */
  visibilityChanged() {
    if (document.visibilityState === "visible") this.show();
  }

  seen() {
    const newest = this.app.store.messages(this.place).at(-1);
    if (newest !== undefined) this.app.store.markRead(this.place, newest.seq);
  }

  /** @param {Message} message */
  messageArrived(message) {
    if (this.app.store.placeOf(message).key !== this.place.key) return;
    // What arrives while the page is hidden gets an unread line, too.
    const found = this.app.store.conversation(this.place);
    if (document.visibilityState === "hidden" && found?.unread === 1) {
      this.unreadAfter = message.seq - 1;
      this.show();
    }
    this.announcer.add(message);
  }

  // Sending

  /**
   * @param {string} text
   * @param {File[]} files
   */
  send(text, files) {
    this.unreadAfter = null;
    if (text) this.app.outbox.send(this.place, text);
    this.uploads.add(this.place, files);
    this.show();
    this.thread.toEnd();
  }

  /** @param {ClipboardEvent} event */
  pasted(event) {
    const files = filesOf(event.clipboardData);
    // A copied table or page comes with a picture of it: paste the text.
    if (files.length === 0 || event.clipboardData?.getData("text/plain")) return;
    event.preventDefault();
    this.composer.attach(files);
  }

  /**
   * @param {Upload} upload
   * @param {boolean} whole
   */
  uploaded(upload, whole) {
    if (!whole) return refreshUpload(upload);
    if (upload.place.key !== this.place.key) return;
    if (!this.uploads.of(this.place).includes(upload)) forgetPreview(upload);
    this.show();
  }
}

/**
 * @param {EventTarget} target
 * @param {string} type
 * @param {() => void} listener
 * @returns {() => void} ends it
 */
function listen(target, type, listener) {
  target.addEventListener(type, listener);
  return () => target.removeEventListener(type, listener);
}
