// @ts-check
/** Drafts: the unsent text of each conversation, kept as long as the tab is open. */

/** @typedef {import("../types.js").Place} Place */

const PREFIX = "chatd.draft.";

/**
 * @param {string} username the author: other users of this browser do not see it
 * @param {Place} place
 */
function keyOf(username, place) {
  return `${PREFIX}${username.toLowerCase()}.${place.key}`;
}

/**
 * @param {string} username
 * @param {Place} place
 */
export function draftOf(username, place) {
  try {
    return sessionStorage.getItem(keyOf(username, place)) ?? "";
  } catch {
    return "";
  }
}

/**
 * @param {string} username
 * @param {Place} place
 * @param {string} text
 */
export function keepDraft(username, place, text) {
  try {
    if (text === "") sessionStorage.removeItem(keyOf(username, place));
    else sessionStorage.setItem(keyOf(username, place), text);
  } catch {
    // Storage is full or forbidden: the text is only in the field.
  }
}
