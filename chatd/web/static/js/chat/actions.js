// @ts-check
/** What can be done with a message: its menu, and the commands behind it. */

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { isImported } from "../keys.js";
import { tError } from "../refusals.js";
import { hashOf } from "../router.js";
import { avatar, confirm, dialog, field, form, listRow } from "../ui.js";
import { popUp } from "./menu.js";
import { inShort } from "./quote.js";
import { pickEmoji } from "./emoji.js";
import { QUICK } from "./reactions.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {import("../types.js").Change} Change */
/** @typedef {import("../types.js").Conversation} Conversation */
/** @typedef {import("../types.js").Message} Message */
/** @typedef {import("../types.js").Place} Place */
/** @typedef {import("./menu.js").MenuItem} MenuItem */

/**
 * @typedef {{
 *   reply: (message: Message) => void,
 *   edit: (message: Message) => void,
 *   goTo: (seq: number) => void,
 * }} Hooks what the conversation's view does
 */

export class Actions {
  #app;
  #place;
  #hooks;

  /**
   * @param {App} app
   * @param {Place} place
   * @param {Hooks} hooks
   */
  constructor(app, place, hooks) {
    this.#app = app;
    this.#place = place;
    this.#hooks = hooks;
  }

  /**
   * @param {Message} message
   * @param {HTMLElement} opener
   */
  menu(message, opener) {
    const usable = this.#isImported(message) || this.#isClosed ? [] : QUICK;
    const emoji = usable.map((each) => {
      const checked = this.#reacted(message, each);
      const label = t(checked ? "chat.react.off" : "chat.react.on", { emoji: each });
      return { emoji: each, label, checked, onClick: () => this.react(message, each, !checked) };
    });
    popUp(opener, t("chat.message.menu", { name: this.#nameOf(message.from) }), this.#items(message), emoji);
  }

  /** Whether it is from an archive, so that nothing can be done with it. @param {Message} message */
  #isImported(message) {
    return message.seq < 0 || isImported(this.#place.name);
  }

  /** Whether the operators have closed the group, so that messages can only be deleted. */
  get #isClosed() {
    return typeof this.#app.store.conversation(this.#place)?.shut === "string";
  }

  /** Whether the user may edit it. @param {Message} message */
  mayEdit(message) {
    if (this.#isClosed) return false;
    const plain = typeof message.text === "string" && !message.deleted && !message.forwarded;
    return plain && message.seq > 0 && this.#app.store.isMe(message.from);
  }

  /** @param {Message} message @param {string} emoji @param {boolean} on */
  async react(message, emoji, on) {
    if (this.#isImported(message)) return;
    const from = this.#app.store.me?.username ?? "";
    const own = (message.reactions?.[emoji] ?? []).find((who) => this.#app.store.isMe(who));
    await this.#change("react", message, { emoji, on }, { kind: "reaction", emoji, on, from: own ?? from });
  }

  /** @param {Message} message @param {string} text @returns {Promise<boolean>} whether it was saved */
  edit(message, text) {
    return this.#change("edit", message, { text }, { kind: "edited", text });
  }

  /** Asks, and deletes it for everybody. @param {Message} message */
  async remove(message) {
    const title = t("chat.delete.title");
    const text = t("chat.delete.text", { text: inShort(message) });
    if (!(await confirm({ title, text, action: t("chat.delete"), danger: true }))) return;
    await this.#change("delete", message, {}, { kind: "deleted" });
  }

  /** Sends the text of a refused message again, as a new message. @param {Message} message */
  async sendAgain(message) {
    if (typeof message.text !== "string") return;
    this.#app.outbox.send(this.#place, message.text, message.reply);
    await this.discard(message);
  }

  /** Removes a refused message of the user. @param {Message} message */
  async discard(message) {
    if (message.seq > 0) return void (await this.#change("delete", message, {}, { kind: "deleted" }));
    const { id } = message;
    if ((await this.#ask("dismiss", { message_id: id })) !== null) this.#app.log.dropPending(this.#place, id);
  }

  /** Shows the pinned messages. */
  async pins() {
    const reply = await this.#ask("pins", this.#at());
    if (reply === null) return;
    const messages = /** @type {Message[]} */ (reply.messages ?? reply.pins ?? []);
    const rows = messages.map((message) =>
      listRow({
        title: this.#nameOf(message.from),
        subtitle: inShort(message),
        onClick: () => {
          close();
          this.#hooks.goTo(message.seq);
        },
      }),
    );
    const content = rows.length ? h("ul", { class: "rows" }, ...rows) : h("p", null, t("chat.pins.none"));
    const close = dialog(t("chat.pins"), content);
  }

  /** @param {Message} message @returns {MenuItem[]} */
  #items(message) {
    const { isMe, admin, direct } = this.#rights(message);
    const copy = typeof message.text === "string" && {
      label: t("chat.copy"),
      icon: /** @type {const} */ ("copy"),
      onClick: () => void this.#copy(message),
    };
    if (this.#isImported(message)) return copy ? [copy] : [];
    const open = !this.#isClosed;
    /** @type {(MenuItem | false)[]} */
    const items = [
      open && { label: t("chat.reply"), icon: "reply", onClick: () => this.#hooks.reply(message) },
      open && { label: t("chat.react.other"), icon: "smile", onClick: () => void this.#reactOther(message) },
      copy,
      this.mayEdit(message) && { label: t("chat.edit"), icon: "edit", onClick: () => this.#hooks.edit(message) },
      message.opaque === undefined && {
        label: t("chat.forward"),
        icon: "forward",
        onClick: () => this.#forward(message),
      },
      open && (direct || admin) && {
        label: t(message.pinned ? "chat.unpin" : "chat.pin"),
        icon: "pin",
        onClick: () => void this.#pin(message, !message.pinned),
      },
      isMe && !direct && { label: t("chat.readers"), icon: "eye", onClick: () => void this.#readers(message) },
      !isMe && { label: t("chat.report"), icon: "alert", onClick: () => void this.#report(message) },
      !isMe && {
        label: t("chat.block", { name: this.#nameOf(message.from) }),
        icon: "eye-off",
        danger: true,
        onClick: () => void this.#block(message.from),
      },
      (isMe || admin) && {
        label: t("chat.delete"),
        icon: "trash",
        danger: true,
        onClick: () => void this.remove(message),
      },
    ];
    return items.filter((each) => each !== false);
  }

  /** @param {Message} message */
  #rights(message) {
    const { store } = this.#app;
    const direct = this.#place.kind === "u";
    const admin = Boolean(store.conversation(this.#place)?.admin || (!direct && store.me?.operator));
    return { isMe: store.isMe(message.from), admin, direct };
  }

  /** @param {Message} message @param {string} emoji */
  #reacted(message, emoji) {
    return (message.reactions?.[emoji] ?? []).some((who) => this.#app.store.isMe(who));
  }

  /** @param {Message} message */
  async #reactOther(message) {
    const emoji = await pickEmoji();
    if (emoji !== null) await this.react(message, emoji, !this.#reacted(message, emoji));
  }

  /** @param {Message} message */
  async #copy(message) {
    try {
      await navigator.clipboard.writeText(message.text ?? "");
      this.#app.toast(t("chat.copied"), "success");
    } catch {
      this.#app.toast(t("chat.copy.failed"), "error");
    }
  }

  /** @param {Message} message @param {boolean} on */
  async #pin(message, on) {
    const done = await this.#change("pin", message, { on }, { kind: "pinned", on });
    if (done) this.#app.toast(t(on ? "chat.pin.done" : "chat.unpin.done"), "success");
  }

  /** @param {Message} message */
  async #readers(message) {
    const reply = await this.#ask("readers", { ...this.#at(), seq: message.seq });
    if (reply === null) return;
    const names = /** @type {string[]} */ (reply.readers).map((address) => this.#nameOf(address));
    const list = h("ul", { class: "readers" }, ...names.map((name) => h("li", null, h("bdi", null, name))));
    dialog(t("chat.readers"), names.length ? list : h("p", null, t("chat.readers.none")), { narrow: true });
  }

  /** Asks for a reason, and reports it to the moderators. @param {Message} message */
  #report(message) {
    const reason = field({ label: t("chat.report.reason"), name: "reason", required: true, maxlength: 500 });
    const send = async () => {
      await this.#app.connection.request("report", { ...this.#at(), seq: message.seq, reason: reason.value });
      close();
      this.#app.toast(t("chat.report.done"), "success");
    };
    const close = dialog(t("chat.report.title"), form([reason], send, { submit: t("chat.report") }), { narrow: true });
  }

  /** Asks first, and blocks a person. @param {string} user */
  async #block(user) {
    const name = this.#nameOf(user);
    const title = t("chat.block.title", { name });
    if (!(await confirm({ title, text: t("chat.block.text"), action: t("chat.block", { name }), danger: true }))) return;
    if ((await this.#ask("block", { user })) === null) return;
    this.#app.log.fold(this.#place, user);
    this.#app.toast(t("chat.block.done", { name }), "success");
  }

  /** Asks where to, and forwards it. @param {Message} message */
  #forward(message) {
    const rows = this.#app.store.sorted().map((found) =>
      listRow({
        title: found.name,
        picture: avatar(found.name, undefined, this.#app.store.looks(found.place)),
        onClick: () => {
          close();
          void this.#forwardTo(message, found);
        },
      }),
    );
    const quoted = h("p", { class: "forward-text", dir: "auto" }, inShort(message));
    const close = dialog(t("chat.forward.title"), [quoted, h("ul", { class: "rows forward-list" }, ...rows)], { narrow: true });
  }

  /** @param {Message} message @param {Conversation} to */
  async #forwardTo(message, { place, name }) {
    const sign = place.kind === "u" ? "@" : "#";
    const reply = await this.#ask("forward", { ...this.#at(), seq: message.seq, to: `${sign}${place.name}` });
    if (reply === null) return;
    const { toast, router, log } = this.#app;
    const { text, file, forwarded = message.from } = message;
    log.addSent(place, reply, file ? { file, forwarded } : { text: text ?? "", forwarded });
    const action = { label: t("chat.forward.open"), onClick: () => router.go(hashOf(place)) };
    toast(t("chat.forward.done", { name }), "success", { action });
  }

  #at() {
    return { [this.#place.kind === "u" ? "user" : "group"]: this.#place.name };
  }

  /**
   * Sends a command that changes a message, and shows the change. Resolves to whether it succeeded.
   * @param {string} command
   * @param {Message} message
   * @param {Record<string, unknown>} args
   * @param {Partial<Change>} change
   */
  async #change(command, message, args, change) {
    const { conversation, seq } = message;
    const reply = await this.#ask(command, { conversation, seq, ...args });
    if (reply === null) return false;
    const at = reply.at ?? new Date().toISOString();
    const { mentions } = reply;
    const whole = /** @type {Change} */ ({ ...change, mentions, conversation, target: seq, seq: reply.seq ?? 0, at });
    this.#app.log.apply(whole);
    void this.#app.store.takeChange(whole);
    return true;
  }

  /**
   * @param {string} command
   * @param {Record<string, unknown>} args
   */
  async #ask(command, args) {
    try {
      return await this.#app.connection.request(command, args);
    } catch (error) {
      this.#app.toast(tError(error), "error");
      return null;
    }
  }

  /** @param {string} address */
  #nameOf(address) {
    const { store } = this.#app;
    return store.isMe(address) ? t("chat.you") : store.displayName(address);
  }
}
