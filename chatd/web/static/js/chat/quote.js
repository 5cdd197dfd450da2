// @ts-check
/** A message in short: quoted above its answer, above the composer, or in a list. */

import { h, name } from "../dom.js";
import { t } from "../i18n.js";
import { isolated } from "./bidi.js";
import { firstLine } from "./rich.js";

/** @typedef {import("../types.js").Message} Message */
/** @typedef {import("./bubble.js").Bubbles} Bubbles */

const SHOWN = 160; // characters, more than fit

/** The message on one line. @param {Message} message */
export function inShort(message) {
  if (message.deleted) return t("chat.deleted");
  if (message.opaque !== undefined) return t("chat.opaque");
  if (message.file) return t("chat.quote.file", { file: message.file.name });
  const line = firstLine(message.text ?? "");
  return line.length > SHOWN ? `${line.slice(0, SHOWN).toWellFormed()}…` : line;
}

/**
 * What an answer quotes. A click goes there.
 * @param {number} seq
 * @param {Bubbles} bubbles
 */
export function quotation(seq, bubbles) {
  const found = bubbles.quoted(seq);
  if (!found) return h("p", { class: "quoted quoted-gone" }, t(found === null ? "chat.quote.gone" : "chat.quote.loading"));
  const author = bubbles.isMe(found.from) ? t("chat.you") : bubbles.nameOf(found.from);
  return h(
    "button",
    {
      class: "quoted",
      type: "button",
      on: { click: () => bubbles.goTo(seq) },
    },
    h("span", { class: "quoted-name" }, h("span", { class: "visually-hidden" }, t("chat.quote.label"), " "), name(author)),
    h("bdi", { class: "quoted-text", dir: "auto" }, document.createTextNode(isolated(inShort(found)))),
  );
}
