// @ts-check
/**
 * One message on the page: its bubble, its sender in a group, what it answers, its time, its reactions, and the state
 * of an own message. Text becomes text nodes and checked links, never markup.
 */

import { h, name as isolatedName } from "../dom.js";
import { t } from "../i18n.js";
import { clock } from "../time.js";
import { icon, iconButton } from "../ui.js";
import { fileBody, uploadBody } from "./attachments.js";
import { deliveryMark, deliveryOf, refusal } from "./delivery.js";
import { happened } from "./happened.js";
import { withMentions } from "./mentions.js";
import { quotation } from "./quote.js";
import { chips } from "./reactions.js";
import { richText } from "./rich.js";
import { isFewEmoji } from "./text.js";

/** @typedef {import("./delivery.js").Delivery} Delivery */
/** @typedef {import("./layout.js").Item} Item */
/** @typedef {import("./layout.js").Spoken} Spoken */
/** @typedef {import("../types.js").Entry} Entry */
/** @typedef {import("../types.js").Message} Message */
/** @typedef {import("./uploads.js").Upload} Upload */

/**
 * @typedef {{
 *   group: boolean,
 *   linked: () => boolean,
 *   isMe: (address: string) => boolean,
 *   nameOf: (address: string) => string,
 *   read: () => number,
 *   quoted: (seq: number) => Message | null | undefined,
 *   goTo: (seq: number) => void,
 *   react: (message: Message, emoji: string, on: boolean) => void,
 *   menu: (message: Message, opener: HTMLElement) => void,
 *   retry: (what: Message | Entry | Upload) => void,
 *   discard: (what: Message | Entry | Upload) => void,
 * }} Bubbles What a bubble needs of its conversation: facts, and the actions of its buttons. `read` is the seq up to
 *   which the other has read; `quoted` is null if there is no such message, and undefined until it is known.
 */

const COLOURS = 8; // of senders; chat.css has the same number

/**
 * @param {Spoken} item
 * @param {Bubbles} bubbles
 * @returns {HTMLElement}
 */
export function bubble(item, bubbles) {
  const message = item.kind === "message" ? item.message : null;
  const sender = message !== null && !item.mine ? message.from : null;
  const name = sender === null ? t("chat.you") : bubbles.nameOf(sender);
  const delivery = deliveryOf(item, bubbles);
  const target = item.kind === "entry" ? item.entry.reply : message?.deleted ? undefined : message?.reply;
  return h(
    "div",
    { class: `message ${item.mine ? "message-mine" : "message-theirs"}`, role: "listitem" },
    // Visible on the first message of a run; screen readers read it on each.
    sender !== null && bubbles.group && senderLine(sender, name),
    h(
      "div",
      { class: "message-line" },
      h(
        "div",
        { class: `bubble bubble-${message?.deleted ? "deleted" : (delivery ?? (item.mine ? "sent" : "theirs"))}` },
        h("span", { class: "visually-hidden" }, isolatedName(name), ": "),
        message?.forwarded && forwardedLine(bubbles.nameOf(message.forwarded)),
        target && quotation(target, bubbles),
        // The direction follows the text; the foot has its own.
        h("div", { class: "bubble-body", dir: "auto" }, body(item, bubbles), foot(item, delivery)),
      ),
      message !== null && message.seq !== 0 && !message.deleted && more(message, name, bubbles),
    ),
    message !== null && chips(message, bubbles),
    delivery === "refused" && refusal(item, bubbles),
  );
}

/**
 * Everything that a bubble shows beside its message.
 * @param {Spoken} item
 * @param {Bubbles} bubbles
 */
export function looksOf(item, bubbles) {
  const delivery = deliveryOf(item, bubbles);
  if (item.kind === "upload") return `${delivery} ${item.upload.error?.code}`;
  const { reply, from = "" } = item.kind === "message" ? item.message : { reply: item.entry.reply };
  const found = reply === undefined ? "" : bubbles.quoted(reply);
  const quoted = found && `${bubbles.nameOf(found.from)} ${found.edited} ${found.deleted}`;
  const error = item.kind === "entry" ? item.entry.error?.code : "";
  return `${delivery} ${error} ${bubbles.group ? bubbles.nameOf(from) : ""} ${quoted}`;
}

/**
 * Changes of the group or of its members, as a line.
 * @param {Item & {kind: "line"}} item
 * @param {Bubbles} bubbles
 */
export function line({ changes, at }, bubbles) {
  return h(
    "div",
    { class: "happened-line", role: "listitem" },
    h("p", { dir: "auto" }, happened(changes, bubbles.nameOf, bubbles.isMe)),
    changes[0].unverified && unverified(),
    time(at),
  );
}

/**
 * A notice of the realm itself, such as of a message that was not delivered.
 * @param {Item & {kind: "notice"}} item
 */
export function notice(item) {
  const text = item.message.text ?? "";
  return h(
    "div",
    { class: "notice", role: "listitem" },
    h("p", { class: "notice-text", dir: "auto" }, text, " "),
    time(item.at),
  );
}

/** @param {string} author */
function forwardedLine(author) {
  return h("p", { class: "forwarded" }, icon("forward"), h("span", { dir: "auto" }, t("chat.forwarded", { name: author })));
}

/**
 * The button of a message's menu. The arrow keys reach it, so it is no stop for Tab.
 * @param {Message} message
 * @param {string} name
 * @param {Bubbles} bubbles
 */
function more(message, name, bubbles) {
  const button = iconButton("more", t("chat.message.menu", { name }), {
    class: "message-more",
    tabindex: -1,
    "aria-haspopup": "menu",
    onClick: () => bubbles.menu(message, button),
  });
  return button;
}

/**
 * @param {string} sender
 * @param {string} name
 */
function senderLine(sender, name) {
  let sum = 0;
  for (const character of sender.toLowerCase()) sum = (sum * 31 + (character.codePointAt(0) ?? 0)) % 9973;
  return h(
    "div",
    { class: `message-sender sender-${sum % COLOURS}`, "aria-hidden": "true" },
    h("bdi", null, name),
    name !== sender && h("bdi", { class: "message-address" }, sender),
  );
}

/**
 * @param {Spoken} item
 * @param {Bubbles} bubbles
 */
function body(item, bubbles) {
  const content = contentOf(item, bubbles);
  if (item.kind !== "message" || !item.message.blocked || item.message.deleted) return content;
  return h("details", { class: "bubble-blocked" }, h("summary", null, t("chat.blocked")), content);
}

/**
 * @param {Spoken} item
 * @param {Bubbles} bubbles
 */
function contentOf(item, bubbles) {
  if (item.kind === "upload") return uploadBody(item.upload, bubbles.discard);
  if (item.kind === "message") {
    const { file, deleted, opaque } = item.message;
    if (deleted) return placeholder("trash", t("chat.deleted"));
    if (opaque !== undefined) return placeholder("lock", t("chat.opaque"));
    if (file) return fileBody(file, item.mine);
  }
  const text = (item.kind === "message" ? item.message.text : item.entry.text) ?? "";
  const size = isFewEmoji(text) ? " bubble-emoji" : "";
  const mentions = (item.kind === "message" && item.message.mentions) || [];
  return h("span", { class: `bubble-text${size}` }, ...withMentions(richText(text), mentions, bubbles.isMe));
}

/** @param {import("../icons.js").IconName} picture @param {string} text */
function placeholder(picture, text) {
  return h("span", { class: "bubble-instead" }, icon(picture), text);
}

/**
 * @param {Spoken} item
 * @param {Delivery | null} delivery
 */
function foot(item, delivery) {
  const message = item.kind === "message" && !item.message.deleted ? item.message : null;
  return h(
    "div",
    { class: "bubble-foot" },
    message?.pinned && mark("pin", "chat.pinned"),
    message?.imported && h("span", { title: t("chat.imported.title") }, t("chat.imported")),
    message?.unverified && unverified(),
    message?.edited && h("span", { title: new Date(message.edited).toLocaleString() }, t("chat.edited")),
    time(item.at),
    delivery !== null && deliveryMark(delivery),
  );
}

/** @param {import("../icons.js").IconName} picture @param {string} key of its text */
function mark(picture, key) {
  return h("span", { class: "bubble-mark", title: t(`${key}.title`) }, icon(picture), h("span", { class: "visually-hidden" }, t(key)));
}

/** The mark of a message that may not be what its author wrote. It can be read without a pointer. */
function unverified() {
  const title = t("chat.unverified.title");
  return h("span", { class: "bubble-mark bubble-unverified", title }, icon("alert"), t("chat.unverified"));
}

/** @param {number} at */
function time(at) {
  const full = new Date(at);
  return h("time", { dir: "ltr", datetime: full.toISOString(), title: full.toLocaleString() }, clock(at));
}
