// @ts-check
/** Search results: the text with each match in a <mark>. Text stays text: only nodes are made. */

import { h } from "../dom.js";

const BEFORE = 60; // characters of a long text that are shown before the first match, and after it
const AFTER = 180;

/**
 * @param {string} text
 * @param {string[]} wanted
 * @returns {(string | Element)[]} the part of `text` around the first match, with each match in a <mark>
 */
export function found(text, wanted) {
  if (wanted.length === 0) return [text];
  // Simple case folding keeps lengths, so the positions are those of the text.
  const words = wanted.map((word) => word.replace(/[\\^$.*+?()[\]{}|\/-]/g, "\\$&"));
  const pattern = new RegExp(words.join("|"), "giu");
  const first = text.search(pattern);
  const [start, end] = cutPositions(text, Math.max(first, 0));
  const shown = text.slice(start, end);
  /** @type {(string | Element)[]} */
  const parts = start > 0 ? ["…"] : [];
  let last = 0;
  for (const match of shown.matchAll(pattern)) {
    if (match.index > last) parts.push(shown.slice(last, match.index));
    parts.push(h("mark", {}, match[0]));
    last = match.index + match[0].length;
  }
  if (last < shown.length) parts.push(shown.slice(last));
  if (end < text.length) parts.push("…");
  return parts;
}

/**
 * Where to cut near `at` without splitting a grapheme or a surrogate pair.
 * @param {string} text
 * @param {number} at
 * @returns {[number, number]}
 */
function cutPositions(text, at) {
  let start = at <= BEFORE * 1.5 ? 0 : at - BEFORE;
  let end = Math.min(text.length, Math.max(at, start) + AFTER);
  const space = text.indexOf(" ", start);
  if (start > 0 && space >= 0 && space < at) start = space + 1;
  while (start > 0 && continues(text, start)) start -= 1;
  while (end < text.length && continues(text, end)) end += 1;
  return [start, end];
}

/**
 * Whether the character at `at` continues the one before it.
 * @param {string} text
 * @param {number} at
 */
function continues(text, at) {
  return /^[\udc00-\udfff\u200d\ufe0f\p{M}]/u.test(text.slice(at, at + 1)) || text[at - 1] === "\u200d";
}
