// @ts-check
/** What a change in the log does to the list of conversations, and to the message that it is about. */

/** @import { Store } from "./store.js" */
/** @import { Message, Change, Conversation } from "./types.js" */

/** Changes the list of conversations. @param {Store} store @param {Change} change */
export function takeInto(store, change) {
  const found = store.numbered(change.conversation);
  if (change.kind === "member") return membership(store, change, found);
  if (change.kind === "moved") return moved(store, change, found);
  if (!found) return;
  found.seq = Math.max(found.seq, change.seq || 0);
  if (change.kind === "group") {
    if (change.title !== undefined) found.name = change.title || found.place.name;
    if (change.shut !== undefined) found.shut = change.shut ?? undefined;
    if (change.picture !== undefined) store.see(found.place, change.picture ?? undefined);
    store.refreshSoon();
  } else if (found.last && change.target === found.last.seq) {
    found.last = changed(found.last, change);
  }
  // Whether a deleted message was unread is for the realm to say.
  if (change.kind === "deleted" && Number(change.target) > found.read) store.refreshSoon();
}

/** The other person has another address. @param {Store} store @param {Change} change @param {Conversation | undefined} found */
function moved(store, change, found) {
  store.refreshSoon();
  if (!found) return;
  const { place } = found;
  store.forget(place);
  store.emit("moved", { place, to: store.place("u", change.new) });
}

/** @param {Store} store @param {Change} change @param {Conversation | undefined} found */
function membership(store, { group, who, what, message }, found) {
  const gone = what === undefined || what === "kicked" || what === "left";
  if (!gone || (who !== undefined && !store.isMe(who))) return store.refreshSoon();
  const place = found?.place ?? store.place("g", group);
  store.forget(place);
  const removed = what !== "left";
  const sentence = message ?? `You ${removed ? "were removed from" : "have left"} ${group}`;
  store.emit("removed", { place, code: removed ? "banned" : "not-member", message: sentence });
}

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
