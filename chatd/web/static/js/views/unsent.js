// @ts-check
/** Unsent texts in the list of conversations. Loaded after the list, with the outbox. */

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "../icons.js";
import { SHOWN } from "./list.js";

/** @import { App, Conversation, Entry, Line } from "../types.js" */
/** @import { Child } from "../dom.js" */

/**
 * Adds their unsent texts to conversations. New conversations that have only unsent texts come first.
 * @param {App} app
 * @param {Line[]} known
 * @returns {Line[]}
 */
export function withUnsent(app, known) {
  /** @type {Map<string, Entry>} */
  const unsent = new Map();
  for (const entry of app.outbox.entries()) {
    // A refused text matters more than a late one.
    if (unsent.get(entry.place.key)?.state !== "refused") unsent.set(entry.place.key, entry);
  }
  const old = known.map(({ conversation }) => {
    const entry = unsent.get(conversation.place.key);
    unsent.delete(conversation.place.key);
    return line(conversation, entry);
  });
  return [...[...unsent.values()].map((entry) => line(emptyConversation(app, entry), entry)), ...old];
}

/** @param {Conversation} conversation @param {Entry} [entry] @returns {Line} */
function line(conversation, entry) {
  return entry ? { conversation, entry, unsent: unsentLine(entry) } : { conversation };
}

/** @param {App} app @param {Entry} entry @returns {Conversation} */
function emptyConversation(app, { place }) {
  const name = place.kind === "u" ? app.store.displayName(place.name) : place.name;
  return { place, conversation: 0, name, unread: 0, read: 0, seq: 0, last: null };
}

/** @param {Entry} entry @returns {Child[]} */
function unsentLine(entry) {
  const refused = entry.state === "refused";
  return [
    icon(refused ? "alert" : "clock"),
    h("span", { class: "visually-hidden" }, t(refused ? "list.refused" : "list.sending")),
    " ",
    entry.text.slice(0, SHOWN),
  ];
}
