// @ts-check
/** A message's text as elements. All text becomes text nodes, and only checked addresses become links. */

import { h } from "../dom.js";
import { isolated } from "./bidi.js";
import { blocksOf } from "./markup.js";

/** @typedef {import("./markup.js").Span} Span */
/** @typedef {import("./markup.js").Block} Block */

const TAGS = /** @type {const} */ ({ bold: "strong", italic: "em", strike: "s" });

/**
 * @param {string} text
 * @returns {Node[]}
 */
export function richText(text) {
  return blocksOf(text).flatMap(blockNodes);
}

/**
 * The text of a message on one line, as in a quotation of it.
 * @param {string} text
 */
export function firstLine(text) {
  const plain = blocksOf(text)
    .map((block) => (block.kind === "code" ? block.text : plainText(block.spans)))
    .join("\n");
  return plain.split("\n").find((line) => line.trim() !== "")?.trim() ?? "";
}

/** @param {Block} block @returns {Node[]} */
function blockNodes(block) {
  switch (block.kind) {
    case "code":
      return [h("pre", { class: "code-block", dir: "ltr" }, h("code", null, textNode(block.text)))];
    case "quote":
      return [h("blockquote", { class: "quote-block", dir: "auto" }, ...spanNodes(block.spans))];
    default:
      return spanNodes(block.spans);
  }
}

/** @param {Span[]} spans @returns {Node[]} */
function spanNodes(spans) {
  return spans.flatMap((span) => (span.kind === "link" ? linkNodes(span) : spanNode(span)));
}

/** @param {Exclude<Span, {kind: "link"}>} span @returns {Node} */
function spanNode(span) {
  switch (span.kind) {
    case "text":
      return textNode(span.text);
    case "code":
      return h("code", { class: "code" }, textNode(span.text));
    default:
      return h(TAGS[span.kind], null, ...spanNodes(span.inside));
  }
}

/**
 * A link. If it has a label, its host is shown too, because the label may claim anything.
 * @param {Span & {kind: "link"}} span
 * @returns {Node[]}
 */
function linkNodes({ text, href, labelled }) {
  const link = h("a", { href, target: "_blank", rel: "noopener noreferrer", title: labelled && href }, textNode(text));
  if (!labelled) {
    link.dir = "ltr";
    return [link];
  }
  const url = new URL(href);
  return [link, h("bdi", { class: "link-host", dir: "ltr" }, ` (${url.host || url.pathname})`)];
}

/** @param {Span[]} spans @returns {string} */
function plainText(spans) {
  return spans.map((span) => ("inside" in span ? plainText(span.inside) : span.text)).join("");
}

/** @param {string} text */
function textNode(text) {
  return document.createTextNode(isolated(text));
}
