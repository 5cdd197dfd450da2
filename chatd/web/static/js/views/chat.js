// @ts-check
/** A conversation: its header, its messages, and the composer. `#/u/<address>` and `#/g/<group>`. */

import { Actions } from "../chat/actions.js";
import { ClosedNote } from "../chat/closed.js";
import { Composer } from "../chat/composer.js";
import { dropZone } from "../chat/dropzone.js";
import { forgetPreview, refreshUpload } from "../chat/attachments.js";
import { Header } from "../chat/header.js";
import { Announcer } from "../chat/announcer.js";
import { instead } from "../chat/instead.js";
import { RequestBar } from "../chat/request.js";
import { Thread } from "../chat/thread.js";
import { mentionable } from "../chat/mentions.js";
import { learnNames } from "../chat/names.js";
import { filesOf } from "../chat/tray.js";
import { TypingNotice } from "../chat/typing.js";
import { uploadsOf } from "../chat/uploads.js";
import { fill, h } from "../dom.js";
import { ChatError } from "../errors.js";
import { t } from "../i18n.js";
import { isImported } from "../keys.js";
import { hashOf } from "../router.js";
import { tError } from "../refusals.js";

/** @import { App, Entry, Message, Place, View } from "../types.js" */
/** @import { Upload } from "../chat/uploads.js" */

const PAGE = 60; // messages loaded at once
const BEFORE = 20; // read messages that are loaded before the unread ones

/**
 * @param {App} app
 * @param {Record<string, string>} params
 * @returns {View}
 */
export function view(app, params) {
  const place =
    params.group === undefined ? app.store.place("u", params.user) : app.store.place("g", params.group);
  const query = new URLSearchParams(location.hash.split("?")[1]);
  const chat = new Chat(app, place, Number(query.get("seq")) || null);
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
   * @param {number | null} target the message to begin at
   */
  constructor(app, place, target) {
    this.app = app;
    this.place = place;
    this.target = target;
    this.uploads = uploadsOf(app);
    this.notice = new TypingNotice(app, place);
    /** @type {number | null} the seq after which the unread line is shown */
    this.unreadAfter = null;
    /** @type {"loading" | "open" | "lost" | "refused"} */
    this.state = "loading";
    /** @type {unknown} the error of `lost` and `refused` */
    this.why = null;
    this.opened = false;
    this.gone = false; // whether the group is not there, or not for this user
    this.actions = new Actions(app, place, {
      reply: (message) => this.composer.reply(message, this.nameOf(message.from)),
      edit: (message) => this.composer.edit(message),
      goTo: (seq) => void this.goTo(seq),
    });
    this.header = new Header(app, place, () => void this.actions.pins());
    this.request = new RequestBar(app, place);
    this.thread = this.makeThread();
    this.composer = this.makeComposer();
    this.closed = new ClosedNote(app.store, place);
    this.announcer = new Announcer(app.announce, (address) => app.store.displayName(address));
    this.instead = h("div", { class: "chat-instead" });
    this.node = h(
      "div",
      { class: "chat" },
      this.header.node,
      this.request.node,
      h("div", { class: "chat-middle" }, this.thread.node, this.instead),
      this.closed.node,
      this.composer.node,
    );
    this.showComposer();
    this.node.addEventListener("paste", (event) => this.pasted(event));
    app.log.shown = place;
    this.ends = [
      dropZone(this.node, (files) => this.closed.closed || this.composer.attach(files)),
      app.log.on("messages", (/** @type {Place} */ where) => where.key === place.key && this.show()),
      app.log.on("typing", (/** @type {Place} */ where) => where.key === place.key && this.header.update()),
      app.store.on("conversations", () => this.listChanged()),
      app.store.on("incoming", (/** @type {Message} */ message) => this.messageArrived(message)),
      app.store.on("removed", (/** @type {{place: Place, code: string, message: string}} */ said) => {
        if (said.place.key !== place.key) return;
        const error = new ChatError(said.code, said.message);
        this.failed(error);
        this.thread.update(this.scene()); // which has no messages now
        this.announcer.destroy();
        app.announce(tError(error)); // it also replaces an announcement of a message
      }),
      app.store.on("moved", (/** @type {{place: Place, to: Place}} */ { place: before, to }) => {
        if (before.key === place.key) app.router.go(hashOf(to));
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
    if (this.app.log.shown === this.place) this.app.log.shown = null;
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
    const { store, log, connection, outbox } = this.app;
    const part = () => log.part(this.place);
    return new Thread({
      label: t("chat.log", { name: this.header.name }),
      hasOlder: () => this.state === "open" && part().hasOlder,
      older: () => log.loadOlder(this.place, PAGE),
      hasNewer: () => this.state === "open" && part().hasNewer,
      newer: () => log.loadNewer(this.place, PAGE),
      newest: () => log.loadNewest(this.place, PAGE),
      seen: (seq) => log.markRead(this.place, seq),
      unread: () => store.conversation(this.place)?.unread ?? 0,
      leave: () => this.composer.focus(),
      bubbles: {
        group: this.place.kind === "g" || isImported(this.place.name),
        linked: () => connection.state === "open",
        isMe: (address) => store.isMe(address),
        nameOf: (address) => store.displayName(address),
        read: () => part().theirs,
        quoted: (seq) => part().find(seq),
        goTo: (seq) => void this.goTo(seq),
        react: (message, emoji, on) => void this.actions.react(message, emoji, on),
        menu: (message, opener) => this.actions.menu(message, opener),
        retry: (what) => {
          if ("from" in what) void this.actions.sendAgain(what);
          else if ("file" in what) this.uploads.retry(what);
          else outbox.retry(what.key);
        },
        discard: (what) => {
          if ("from" in what) void this.actions.discard(what);
          else if ("file" in what) this.uploads.discard(what);
          else outbox.discard(what.key);
        },
      },
    });
  }

  makeComposer() {
    const { store, log } = this.app;
    return new Composer({
      place: this.place,
      username: store.me?.username ?? "",
      name: this.header.name,
      limits: store.session?.limits ?? { message: 8192, file: Infinity },
      send: (text, files, reply) => this.send(text, files, reply),
      save: (message, text) => void this.save(message, text),
      editLast: () => {
        const last = log.messages(this.place).findLast((message) => this.actions.mayEdit(message));
        if (last) this.composer.edit(last);
      },
      people: mentionable(this.app, this.place),
      typing: () => this.notice.tell(),
      page: (screens) => this.thread.page(screens),
      refused: (text) => this.app.toast(text, "error"),
    });
  }

  // Loading

  async load() {
    const { store, log } = this.app;
    this.state = "loading";
    this.showInstead();
    if (this.target === null && !log.part(this.place).hasNewer) this.open(); // with messages known from before
    try {
      await this.loadFirst();
      if (!store.conversation(this.place)) await store.refresh();
    } catch (error) {
      this.failed(error);
      return;
    }
    this.state = "open";
    this.header.update();
    this.request.update();
    this.showInstead();
    if (this.target === null) this.open();
    else this.found(this.target);
    if (await learnNames(this.app, this.place)) {
      this.listChanged();
      this.show();
    }
  }

  /** Loads the messages that are shown first: around the wanted one, or from the first unread one on. */
  async loadFirst() {
    const { store, log } = this.app;
    const { unread = 0, read = 0 } = store.conversation(this.place) ?? {};
    if (this.target !== null) await log.loadAround(this.place, this.target, PAGE);
    else if (unread > PAGE - BEFORE) await log.loadAround(this.place, read + 1, PAGE);
    else await log.loadNewest(this.place, PAGE);
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

  /** Goes to a message, which may have to be loaded first. @param {number} seq */
  async goTo(seq) {
    const { log } = this.app;
    try {
      if (!log.messages(this.place).some((message) => message.seq === seq)) {
        await log.loadAround(this.place, seq, PAGE);
      }
      this.found(seq);
    } catch (error) {
      this.app.toast(tError(error), "error");
    }
  }

  /** Shows a message that is loaded, if it still exists. @param {number} seq */
  found(seq) {
    this.opened = true;
    this.target = null;
    this.thread.goTo(this.scene(), seq);
    const exists = this.app.log.messages(this.place).some((message) => message.seq === seq);
    if (!exists) this.app.toast(t("chat.quote.gone"), "error");
  }

  /** @param {unknown} error */
  failed(error) {
    const code = error instanceof ChatError ? error.code : "";
    this.state = code === "" ? "lost" : "refused";
    this.why = error;
    this.gone = ["not-member", "banned"].includes(code) || code.startsWith("unknown-");
    this.showComposer();
    this.showInstead();
  }

  again() {
    this.gone = false;
    this.showComposer();
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
    const { store, outbox, log } = this.app;
    const part = log.part(this.place);
    const unsent = [...outbox.entries(this.place), ...this.uploads.of(this.place)];
    return {
      messages: part.list,
      lines: part.shownLines(),
      pending: [...part.pending, ...unsent.sort((one, other) => one.at - other.at)],
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
    const { place, state, why } = this;
    const { name } = this.header;
    const looks = `${state} ${name}`;
    if (hidden || this.instead.dataset.looks === looks) return;
    this.instead.dataset.looks = looks;
    const again = () => this.again();
    fill(this.instead, instead({ state, why, place, name, again, join: () => void this.join() }));
  }

  /** Shows the composer, or why nobody can write. */
  showComposer() {
    this.closed.update();
    this.composer.node.hidden = this.gone || this.closed.closed;
  }

  listChanged() {
    this.showComposer();
    this.header.update();
    this.request.update();
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
   * @param {number} [reply] the seq of the message that it answers
   */
  send(text, files, reply) {
    this.unreadAfter = null;
    if (text) this.app.outbox.send(this.place, text, reply);
    this.uploads.add(this.place, files);
    this.notice.sent();
    this.show();
    this.thread.toEnd();
  }

  /** Saves an edited text. If that fails, it is in the field again. @param {Message} message @param {string} text */
  async save(message, text) {
    if (!(await this.actions.edit(message, text))) this.composer.edit(message, text);
  }

  /** @param {string} address */
  nameOf(address) {
    const { store } = this.app;
    return store.isMe(address) ? t("chat.you") : store.displayName(address);
  }

  /** @param {ClipboardEvent} event */
  pasted(event) {
    const files = filesOf(event.clipboardData);
    // A copied table or page comes with a picture of it: paste the text.
    if (files.length === 0 || this.closed.closed || event.clipboardData?.getData("text/plain")) return;
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
