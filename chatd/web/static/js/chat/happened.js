// @ts-check
/** A change of a group or of its members, in words. */

import { hasText, language, t } from "../i18n.js";
import { isCreation, isOwn } from "./layout.js";

/** @typedef {import("../types.js").Change} Change */

const FACTS = /** @type {const} */ (["title", "topic"]);
const NAMED = 8; // people; the others are counted

/**
 * @param {readonly Change[]} changes several of the same kind by the same person
 * @param {(address: string) => string} nameOf
 * @param {(address: string) => boolean} isMe
 * @returns {string}
 */
export function happened(changes, nameOf, isMe) {
  const [change] = changes;
  const by = change.by ? (isMe(change.by) ? t("chat.you") : nameOf(change.by)) : "";
  if (change.kind === "member") {
    const { what } = change;
    const own = isOwn(change);
    const names = changes.map((each, at) =>
      isMe(each.who) ? t(own && at === 0 ? "chat.you" : "chat.you.object") : nameOf(each.who ?? ""),
    );
    const name = listed(names);
    if (isCreation(change)) return t("chat.member.created", { name });
    const key = `chat.member.${what}`;
    const known = [own ? key : `${key}.by`, key].find(hasText);
    return known ? t(known, { name, by }) : t("chat.member.other", { name, what: String(what) });
  }
  if (change.kind === "moved") return t("chat.moved", { old: change.old, name: change.new });
  if (typeof change.home === "string") return t("chat.group.moved", { address: change.home });
  if (change.shut !== undefined) return shut(change.shut);
  const changed = FACTS.find((each) => typeof change[each] === "string");
  const fact = changed ?? ("picture" in change ? "picture" : "other");
  const key = `chat.changed.${fact}`;
  return t(by ? `${key}.by` : key, { by, value: String(change[fact] ?? "") });
}

/** The operators have closed a group for everybody, for that reason, or opened it. @param {unknown} reason */
export function shut(reason) {
  if (reason === null) return t("chat.group.unshut");
  return reason ? t("chat.group.shut.why", { reason: String(reason) }) : t("chat.group.shut");
}

/** @param {string[]} names */
function listed(names) {
  const more = names.length - NAMED;
  const shown = more > 1 ? [...names.slice(0, NAMED), t("chat.member.more", { n: more })] : names;
  return new Intl.ListFormat(language()).format(shown);
}
