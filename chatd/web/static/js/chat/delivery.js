// @ts-check
/** The state of an own message: on its way, stored, queued, delivered, read, or refused with the reason. */

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { tError } from "../refusals.js";
import { button, icon } from "../ui.js";

/** @typedef {import("./layout.js").Spoken} Spoken */
/** @typedef {import("./bubble.js").Bubbles} Bubbles */

/** @typedef {"sending" | "waiting" | "queued" | "requested" | "sent" | "delivered" | "read" | "refused"} Delivery */

/** @type {Record<Delivery, import("../icons.js").IconName>} */
const ICONS = {
  sending: "clock",
  waiting: "clock",
  queued: "clock",
  requested: "clock",
  sent: "check",
  delivered: "checks",
  read: "checks",
  refused: "alert",
};
const QUIET = new Set(["sending", "sent", "delivered", "read"]); // the icon alone is shown

/**
 * The delivery state of an own message; null for messages of others.
 * @param {Spoken} item
 * @param {Bubbles} bubbles
 * @returns {Delivery | null}
 */
export function deliveryOf(item, bubbles) {
  if (item.kind === "entry") {
    const { state } = item.entry;
    return state === "sending" && !bubbles.linked() ? "waiting" : state;
  }
  if (item.kind === "upload") return item.upload.state;
  const { state, seq } = item.message;
  if (!item.mine || item.message.deleted || seq < 0) return null;
  if (state === "refused" || state === "queued" || state === "requested") return state;
  if (seq > 0 && seq <= bubbles.read()) return "read";
  return state === "delivered" ? state : "sent";
}

/** @param {Delivery} delivery */
export function deliveryMark(delivery) {
  const label = t(`chat.delivery.${delivery}`);
  return h(
    "span",
    { class: `delivery delivery-${delivery}`, dir: "auto", title: t(`chat.delivery.${delivery}.title`) },
    icon(ICONS[delivery]),
    h("span", { class: QUIET.has(delivery) ? "visually-hidden" : "" }, label),
  );
}

/**
 * Why an own message was refused, and what can be done.
 * @param {Spoken} item
 * @param {Bubbles} bubbles
 */
export function refusal(item, bubbles) {
  const what = item.kind === "entry" ? item.entry : item.kind === "upload" ? item.upload : item.message;
  return h(
    "div",
    { class: "refusal" },
    h("p", { class: "refusal-text", dir: "auto" }, reasonOf(item)),
    h(
      "div",
      { class: "refusal-buttons" },
      button(t("chat.retry"), { kind: "small", onClick: () => bubbles.retry(what) }),
      button(t("chat.discard"), { kind: "small", onClick: () => bubbles.discard(what) }),
    ),
  );
}

/** @param {Spoken} item */
function reasonOf(item) {
  if (item.kind === "message") {
    const { code = "", reason = t("chat.refused") } = item.message;
    return tError({ code, message: reason });
  }
  const { error } = item.kind === "entry" ? item.entry : item.upload;
  return error ? tError(error) : t("chat.refused");
}
