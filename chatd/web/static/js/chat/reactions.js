// @ts-check
/** Reactions to a message: chips below its bubble, which also take one's own back. */

import { h } from "../dom.js";
import { t } from "../i18n.js";

/** @typedef {import("../types.js").Message} Message */
/** @typedef {import("./bubble.js").Bubbles} Bubbles */

/** The ones that the menu of a message offers. */
export const QUICK = ["👍", "❤️", "😂", "😮", "😢", "🙏"];
const NAMED = 20; // people named in a chip's tooltip

/**
 * @param {Message} message
 * @param {Bubbles} bubbles
 */
export function chips(message, bubbles) {
  const all = Object.entries(message.reactions ?? {});
  if (all.length === 0 || message.deleted) return null;
  return h("div", { class: "reactions" }, ...all.map(([emoji, people]) => chip(message, emoji, people, bubbles)));
}

/**
 * @param {Message} message
 * @param {string} emoji
 * @param {string[]} people addresses
 * @param {Bubbles} bubbles
 */
function chip(message, emoji, people, bubbles) {
  const mine = people.some((who) => bubbles.isMe(who));
  const names = people.slice(0, NAMED).map((who) => (bubbles.isMe(who) ? t("chat.you") : bubbles.nameOf(who)));
  const count = Math.max(people.length, message.reaction_counts?.[emoji] ?? 0);
  if (count > names.length) names.push("…");
  const who = names.join(", ");
  return h(
    "button",
    {
      class: "reaction",
      type: "button",
      title: who,
      "aria-label": t("chat.reaction", { emoji, who, n: count }),
      "aria-pressed": mine,
      on: { click: () => bubbles.react(message, emoji, !mine) },
    },
    h("span", { class: "reaction-emoji" }, emoji),
    h("span", { class: "reaction-count" }, String(count)),
  );
}
