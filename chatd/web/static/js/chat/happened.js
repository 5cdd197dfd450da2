// @ts-check
/** A change of a group or of its members, in words. */

import { hasText, t } from "../i18n.js";

/** @typedef {import("../types.js").Change} Change */

const FACTS = /** @type {const} */ (["title", "topic"]);

/**
 * @param {Change} change
 * @param {(address: string) => string} nameOf
 * @param {(address: string) => boolean} isMe
 * @returns {string}
 */
export function happened(change, nameOf, isMe) {
  const by = change.by ? (isMe(change.by) ? t("chat.you") : nameOf(change.by)) : "";
  if (change.kind === "member") {
    const { who = "", what } = change;
    const own = by === "" || change.by === who;
    const name = !isMe(who) ? nameOf(who) : own ? t("chat.you") : t("chat.you.object");
    const key = `chat.member.${what}`;
    const known = [own ? key : `${key}.by`, key].find(hasText);
    return known ? t(known, { name, by }) : t("chat.member.other", { name, what: String(what) });
  }
  const fact = FACTS.find((each) => typeof change[each] === "string") ?? "other";
  const key = `chat.changed.${fact}`;
  return t(by ? `${key}.by` : key, { by, value: String(change[fact] ?? "") });
}
