// @ts-check
/** What a conversation shows instead of messages: a spinner, a hint, or why it can't be shown. */

import { ChatError } from "../errors.js";
import { t } from "../i18n.js";
import { tError } from "../refusals.js";
import { button, emptyState, spinner } from "../ui.js";

/** @typedef {import("../types.js").Place} Place */
/** @typedef {"loading" | "open" | "lost" | "refused"} State */

/**
 * @param {{state: State, why: unknown, place: Place, name: string, again: () => void, join: () => void}} facts `why`
 *   is the error of `lost` and `refused`
 */
export function instead({ state, why, place, name, again, join }) {
  switch (state) {
    case "loading":
      return spinner();
    case "open": {
      const hint = t(place.kind === "g" ? "chat.empty.group" : "chat.empty.person");
      return emptyState(t("chat.empty", { name }), hint, null, "chats");
    }
    case "lost": {
      const action = button(t("chat.again"), { kind: "primary", onClick: again });
      return emptyState(t("chat.lost"), t("chat.lost.hint"), action, "alert");
    }
    default:
      return refusal({ why, place, name, again, join });
  }
}

/**
 * Why the realm refuses to show the conversation, and what to do.
 * @param {{why: unknown, place: Place, name: string, again: () => void, join: () => void}} facts
 */
function refusal({ why, place, name, again, join }) {
  const code = why instanceof ChatError ? why.code : "";
  const retry = button(t("chat.again"), { kind: "primary", onClick: again });
  const group = button(t("chat.join", { group: place.name }), { kind: "primary", onClick: join });
  const others = place.kind === "g" ? { href: "#/groups" } : { href: "#/new" };
  const back = button(t(place.kind === "g" ? "chat.elsewhere.group" : "chat.elsewhere"), others);
  if (code === "not-member") return emptyState(t("chat.failed"), tError(why), [group, back], "groups");
  if (code === "banned") return emptyState(t("chat.failed"), tError(why), back, "groups");
  if (!code.startsWith("unknown-")) return emptyState(t("chat.failed"), tError(why), retry, "alert");
  return emptyState(t("chat.failed.unknown", { name }), tError(why), back, "search");
}
