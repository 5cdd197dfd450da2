// @ts-check
/**
 * The items of a conversation from top to bottom: days, the unread line, messages in runs of one sender, and
 * below them what is not sent yet. Nothing here touches the DOM.
 */

/** @typedef {import("../types.js").Message} Message */
/** @typedef {import("../types.js").Change} Change */
/** @typedef {import("../types.js").Entry} Entry */
/** @typedef {import("./uploads.js").Upload} Upload */

/**
 * @typedef {{kind: "day", key: string, at: number}
 *   | {kind: "unread", key: string}
 *   | {kind: "notice", key: string, at: number, message: Message}
 *   | {kind: "line", key: string, at: number, changes: Change[]}
 *   | {kind: "message", key: string, at: number, mine: boolean, first: boolean, last: boolean, message: Message}
 *   | {kind: "entry", key: string, at: number, mine: true, first: boolean, last: boolean, entry: Entry}
 *   | {kind: "upload", key: string, at: number, mine: true, first: boolean, last: boolean, upload: Upload}
 * } Item
 */

/** @typedef {Extract<Item, {first: boolean}>} Spoken the items that have a bubble */

/** ms: messages of one sender further apart than this are not one run. */
const RUN = 5 * 60_000;

/** The sender of the realm's own notices. */
export const SYSTEM = "system";

/**
 * @typedef {{
 *   messages: readonly Message[],
 *   lines: readonly Change[],
 *   pending: readonly (Message | Entry | Upload)[],
 *   isMe: (address: string) => boolean,
 *   unreadAfter: number | null,
 * }} Scene `lines` are changes of membership and of the group; `pending` is what has no seq yet, in order;
 *   `unreadAfter` is the last seq that was read; the unread line is after it.
 */

/**
 * @param {Scene} scene
 * @returns {Item[]}
 */
export function layOut(scene) {
  /** @type {Item[]} */
  const items = [];
  let day = "";
  let drawn = scene.unreadAfter === null;
  const stored = new Set();
  const startDay = (/** @type {number} */ at) => {
    const now = new Date(at).toDateString();
    if (now !== day) items.push({ kind: "day", key: `day ${now}`, at });
    day = now;
  };
  for (const found of inOrder(scene)) {
    const at = Date.parse(found.at ?? "") || 0;
    if ("kind" in found) {
      startDay(at);
      addLine(items, found, at);
      continue;
    }
    const message = found;
    const mine = scene.isMe(message.from);
    startDay(at);
    if (!drawn && message.seq > Number(scene.unreadAfter) && !mine) {
      items.push({ kind: "unread", key: "unread" });
      drawn = true;
    }
    const key = message.key ? `key ${message.key}` : `seq ${message.seq}`;
    if (message.key) stored.add(message.key);
    if (message.from === SYSTEM) items.push({ kind: "notice", key, at, message });
    else items.push({ kind: "message", key, at, mine, first: true, last: true, message });
  }
  for (const pending of scene.pending) {
    if (pending.key && stored.has(pending.key)) continue; // it is a message already
    const at = typeof pending.at === "number" ? pending.at : Date.parse(pending.at);
    startDay(at);
    const common = { at, first: true, last: true };
    if ("from" in pending) items.push({ kind: "message", mine: true, key: `id ${pending.id}`, ...common, message: pending });
    else items.push(unsent(pending, common));
  }
  joinRuns(items);
  return items;
}

/**
 * Adds a change as a line, or to the line above it if it tells the same of another person.
 * @param {Item[]} items
 * @param {Change} change
 * @param {number} at
 */
function addLine(items, change, at) {
  const above = items.at(-1);
  if (above?.kind === "line") {
    const last = above.changes[above.changes.length - 1];
    if (isFulfilled(last, change)) {
      above.changes.pop();
      if (above.changes.length === 0) items.pop();
      return addLine(items, change, at);
    }
    if (isAlike(last, change) && at - above.at <= RUN) return void above.changes.push(change);
  }
  items.push({ kind: "line", key: `seq ${change.seq}`, at, changes: [change] });
}

/** Whether `change` is what an invitation has led to at once. @param {Change} invited @param {Change} change */
function isFulfilled(invited, change) {
  return (
    invited.what === "invited" && change.what === "joined" && invited.who === change.who && invited.by === change.by
  );
}

/** @param {Change} one @param {Change} other */
function isAlike(one, other) {
  if (Boolean(one.unverified) !== Boolean(other.unverified)) return false;
  const alike = one.kind === "member" && other.kind === "member" && one.what === other.what;
  if (!alike || isCreation(one)) return false;
  return isOwn(one) ? isOwn(other) : one.by === other.by && !isOwn(other);
}

/** Whether somebody did it themselves. @param {Change} change */
export function isOwn({ by, who }) {
  return !by || by === who;
}

/** Whether it is the first entry of a group. @param {Change} change */
export function isCreation(change) {
  return change.seq === 1 && change.what === "joined" && isOwn(change);
}

/**
 * @param {Entry | Upload} pending
 * @param {{at: number, first: boolean, last: boolean}} common
 * @returns {Item}
 */
function unsent(pending, common) {
  const key = `key ${pending.key}`;
  if ("file" in pending) return { kind: "upload", mine: true, key, ...common, upload: pending };
  return { kind: "entry", mine: true, key, ...common, entry: pending };
}

/** Messages and lines by seq. @param {Scene} scene @returns {(Message | Change)[]} */
function inOrder({ messages, lines }) {
  if (lines.length === 0) return [...messages];
  return [...messages, ...lines].sort((one, other) => one.seq - other.seq);
}

/** @param {Item[]} items */
function joinRuns(items) {
  for (let at = 1; at < items.length; at += 1) {
    const above = items[at - 1];
    const below = items[at];
    if (!("first" in above) || !("first" in below)) continue;
    if (senderOf(above) !== senderOf(below) || below.at - above.at > RUN) continue;
    above.last = false;
    below.first = false;
  }
}

/** @param {Item & {mine: boolean}} item */
function senderOf(item) {
  return item.kind === "message" && !item.mine ? item.message.from : null;
}
