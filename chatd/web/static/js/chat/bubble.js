// @ts-check
/**
 * One message on the page: its bubble, its sender in a group, its time, and the state of an own message.
 * Text becomes text nodes and checked links, never markup.
 */

import { h } from "../dom.js";
import { t, tError } from "../i18n.js";
import { clock } from "../time.js";
import { button, icon } from "../ui.js";
import { fileBody, uploadBody } from "./attachments.js";
import { isolated } from "./bidi.js";
import { isFewEmoji, piecesOf } from "./text.js";

/** @typedef {import("./layout.js").Item} Item */
/** @typedef {import("./layout.js").Spoken} Spoken */
/** @typedef {import("../types.js").Entry} Entry */
/** @typedef {import("./uploads.js").Upload} Upload */

/**
 * @typedef {{
 *   group: boolean,
 *   linked: () => boolean,
 *   nameOf: (address: string) => string,
 *   retry: (what: Entry | Upload) => void,
 *   discard: (what: Entry | Upload) => void,
 * }} Bubbles What a bubble needs of its conversation: facts, and the actions of its buttons.
 */

/** @typedef {"sending" | "waiting" | "queued" | "sent" | "refused"} Delivery */

/** @type {Record<Delivery, import("../icons.js").IconName>} */
const ICONS = { sending: "clock", waiting: "clock", queued: "clock", sent: "check", refused: "alert" };

const COLOURS = 8; // of senders; chat.css has the same number

/**
 * @param {Spoken} item
 * @param {Bubbles} bubbles
 * @returns {HTMLElement}
 */
export function bubble(item, bubbles) {
  const sender = item.kind === "message" && !item.mine ? item.message.from : null;
  const name = sender === null ? t("chat.you") : bubbles.nameOf(sender);
  const delivery = deliveryOf(item, bubbles);
  const shown = sender !== null && bubbles.group;
  return h(
    "div",
    { class: `message ${item.mine ? "message-mine" : "message-theirs"}`, role: "listitem" },
    // Visible on the first message of a run; screen readers read it on each.
    shown && senderLine(sender, name),
    h(
      "div",
      { class: "message-line" },
      h(
        "div",
        { class: `bubble bubble-${delivery ?? "theirs"}` },
        h("span", { class: "visually-hidden" }, h("bdi", null, name), ": "),
        // The direction follows the text; the foot has its own.
        h("div", { class: "bubble-body", dir: "auto" }, body(item, bubbles), foot(item.at, delivery)),
      ),
    ),
    delivery === "refused" && refusal(item, bubbles),
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

/**
 * A text as nodes, with links.
 * @param {string} text
 * @returns {Node[]}
 */
export function textNodes(text) {
  return piecesOf(text).map(({ text: piece, href }) =>
    href === undefined
      ? document.createTextNode(isolated(piece))
      : h("a", { href, target: "_blank", rel: "noopener noreferrer", dir: "ltr" }, piece),
  );
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
  if (item.kind === "upload") return uploadBody(item.upload, bubbles.discard);
  if (item.kind === "message" && item.message.file) return fileBody(item.message.file);
  const text = (item.kind === "message" ? item.message.text : item.entry.text) ?? "";
  const size = isFewEmoji(text) ? " bubble-emoji" : "";
  return h("span", { class: `bubble-text${size}` }, ...textNodes(text));
}

/**
 * @param {number} at
 * @param {Delivery | null} delivery
 */
function foot(at, delivery) {
  return h("div", { class: "bubble-foot" }, time(at), delivery !== null && deliveryMark(delivery));
}

/** @param {number} at */
function time(at) {
  const full = new Date(at);
  return h("time", { dir: "ltr", datetime: full.toISOString(), title: full.toLocaleString() }, clock(at));
}

/** @param {Delivery} delivery */
function deliveryMark(delivery) {
  const label = t(`chat.delivery.${delivery}`);
  return h(
    "span",
    { class: `delivery delivery-${delivery}`, dir: "auto", title: t(`chat.delivery.${delivery}.title`) },
    icon(ICONS[delivery]),
    // Unusual states are visible as text, too.
    h("span", { class: delivery === "sent" || delivery === "sending" ? "visually-hidden" : "" }, label),
  );
}

/**
 * The delivery state of an own message; null for messages of others.
 * @param {Spoken} item
 * @param {Bubbles} bubbles
 * @returns {Delivery | null}
 */
export function deliveryOf(item, bubbles) {
  if (item.kind === "entry") {
    const { state } = item.entry;
    return state === "sending" && !bubbles.linked() ? "waiting" : state;
  }
  if (item.kind === "upload") return item.upload.state;
  if (!item.mine) return null;
  return item.message.queued ? "queued" : "sent";
}

/**
 * @param {Item} item
 * @param {Bubbles} bubbles
 */
function refusal(item, bubbles) {
  const what = item.kind === "entry" ? item.entry : item.kind === "upload" ? item.upload : null;
  if (what === null) return null;
  return h(
    "div",
    { class: "refusal" },
    h("p", { class: "refusal-text", dir: "auto" }, what.error ? tError(what.error) : t("chat.refused")),
    h(
      "div",
      { class: "refusal-buttons" },
      button(t("chat.retry"), { kind: "small", onClick: () => bubbles.retry(what) }),
      button(t("chat.discard"), { kind: "small", onClick: () => bubbles.discard(what) }),
    ),
  );
}
