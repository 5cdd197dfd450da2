// @ts-check
/** Mentions in texts: which people can be mentioned, and marking those that a message mentions. */

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { keyOf } from "../keys.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {import("../types.js").Place} Place */
/** @typedef {import("./mentioning.js").Candidate} Candidate */

const FRESH = 60_000; // ms for which a list of members is used again
const EVERYBODY = "all";
const MENTION = /(?<![\p{L}\p{M}\p{N}_@.-])@[\p{L}\p{M}\p{N}_.-]+(?:@[\p{L}\p{M}\p{N}_.-]+)?/gu;

/**
 * Returns a function for the people who can be mentioned in a conversation, besides the user. Members are asked for
 * when they are needed first.
 * @param {App} app
 * @param {Place} place
 * @returns {() => Promise<Candidate[]>}
 */
export function mentionable({ connection, store }, place) {
  /** @type {Promise<string[]> | null} */
  let members = null;
  let asked = -Infinity;
  const load = async () => {
    const reply = await connection.request("members", { group: place.name });
    return /** @type {{username: string}[]} */ (reply.members).map(({ username }) => username);
  };
  return async () => {
    const everybody = { address: EVERYBODY, name: t("chat.mentions.all") };
    const named = (/** @type {string} */ address) => ({
      address,
      name: store.displayName(address),
      picture: store.pictureOf(address),
    });
    if (place.kind === "u") return store.isMe(place.name) ? [] : [named(place.name)];
    if (members === null || performance.now() - asked > FRESH) {
      asked = performance.now();
      members = load();
      members.catch(() => (members = null)); // ask again at the next key
    }
    const others = (await members).filter((address) => !store.isMe(address)).map(named);
    return store.conversation(place)?.admin ? [...others, everybody] : others;
  };
}

/**
 * Marks the mentions in the nodes of a text.
 * @param {Node[]} nodes
 * @param {readonly string[]} mentions addresses, and `@all` for everybody
 * @param {(address: string) => boolean} isMe
 * @returns {Node[]}
 */
export function withMentions(nodes, mentions, isMe) {
  if (mentions.length === 0) return nodes;
  const known = new Map(mentions.map((each) => [keyOf(each.startsWith("@") ? each : `@${each}`), each]));
  const marked = (/** @type {string} */ text) => {
    const word = text.replace(/[.-]+$/u, "");
    const address = known.get(keyOf(word));
    if (address === undefined) return [text];
    const mine = address === `@${EVERYBODY}` || isMe(address);
    return [h("span", { class: mine ? "mention mention-me" : "mention" }, word), text.slice(word.length)];
  };
  const visit = (/** @type {Node} */ node) => {
    if (node instanceof Text) {
      const text = node.data;
      const found = [...text.matchAll(MENTION)];
      if (found.length === 0) return;
      let at = 0;
      const parts = found.flatMap((match) => {
        const before = text.slice(at, match.index);
        at = match.index + match[0].length;
        return [before, ...marked(match[0])];
      });
      node.replaceWith(...[...parts, text.slice(at)].filter((part) => part !== ""));
    } else if (node instanceof HTMLElement && !node.matches("a, code, pre")) {
      for (const child of [...node.childNodes]) visit(child);
    }
  };
  const whole = h("span");
  whole.append(...nodes);
  visit(whole);
  return [...whole.childNodes];
}
