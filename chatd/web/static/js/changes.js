// @ts-check
/** What a change in the log does to the message that it is about. */

/** @import { Message, Change } from "./types.js" */

/**
 * The message after a change. The same object if it does not change.
 * @param {Message} message
 * @param {Change} change
 * @returns {Message}
 */
export function changed(message, change) {
  if (message.deleted) return message;
  switch (change.kind) {
    case "edited": {
      const { text, mentions, at } = change;
      return typeof text !== "string" ? message : { ...message, text, mentions, edited: at ?? message.at };
    }
    case "deleted": {
      const { text, file, opaque, reactions, reaction_counts, pinned, ...rest } = message;
      return { ...rest, deleted: true };
    }
    case "reaction":
      return reacted(message, change);
    case "pinned":
      return { ...message, pinned: change.on !== false };
    default:
      return message;
  }
}

/** @param {Message} message @param {Change} change */
function reacted(message, { emoji, from, on }) {
  const { [emoji]: before = [], ...reactions } = message.reactions ?? {};
  const { [emoji]: many, ...counts } = message.reaction_counts ?? {};
  const others = before.filter((who) => who !== from);
  const people = on === false ? others : [...others, from];
  const step = on === false ? -1 : Number(others.length === before.length);
  if (people.length > 0) reactions[emoji] = people;
  if (many !== undefined) counts[emoji] = many + step;
  return { ...message, reactions, reaction_counts: counts };
}
