// @ts-check
/** Notifications of new messages, and announcements of them to a screen reader. */

import { t } from "./i18n.js";
import { hashOf } from "./router.js";
import { announce } from "./dialogs.js";
import { worker } from "./worker.js";

/** @import { App, Message, Place } from "./types.js" */
/** @typedef {"unsupported" | "denied" | "off" | "on"} NotificationState */

const STORED = "chatd.notifications";
const MAX_LENGTH = 200; // characters of a message in a notification

/** Whether there are notifications: `denied` by the browser, `off` by the user. @returns {NotificationState} */
export function notificationState() {
  if (!("Notification" in globalThis)) return "unsupported";
  if (Notification.permission === "denied") return "denied";
  return Notification.permission === "granted" && wanted() ? "on" : "off";
}

/**
 * Turns notifications on or off. Turning them on may make the browser ask for permission.
 * @param {boolean} on
 * @returns {Promise<NotificationState>} the new state
 */
export async function setNotifications(on) {
  if (on && "Notification" in globalThis) await Notification.requestPermission();
  try {
    localStorage.setItem(STORED, on ? "on" : "off");
  } catch {
    // Storage is forbidden: the browser remembers at least its own permission.
  }
  return notificationState();
}

function wanted() {
  try {
    return localStorage.getItem(STORED) !== "off";
  } catch {
    return true;
  }
}

/** @param {App} app */
export function watchMessages(app) {
  app.store.on("incoming", async (message) => {
    const place = app.store.placeOf(message);
    if (!document.hidden && location.hash === hashOf(place)) return;
    const text = (await asks(app.store, place)) ? t("list.request") : bodyOf(message);
    if (document.hidden) void notify(app, place, message, text);
    else announce(sentence(app, place, message, text));
  });
}

/**
 * Whether the other side asks to write to the user. Their text is shown only on the page with the buttons that answer
 * them. Of a new conversation with a person of another realm, only the realm knows it.
 * @param {App["store"]} store
 * @param {Place} place
 */
async function asks(store, place) {
  if (place.kind !== "u" || !place.name.includes("@")) return false;
  if (store.isYoung(place)) await store.refresh();
  return store.isYoung(place) || store.conversation(place)?.request !== undefined;
}

/**
 * @param {App} app
 * @param {Place} place
 * @param {Message} message
 * @param {string} text
 */
function sentence(app, place, message, text) {
  const name = app.store.displayName(message.from);
  if (place.kind === "u") return t("app.said", { name, text });
  return t("app.said-in", { name, text, group: app.store.groupName(place) });
}

/** @param {Message} message */
function bodyOf(message) {
  if (message.file) return t("app.file", { name: message.file.name });
  if (message.opaque !== undefined) return t("list.opaque");
  const text = message.text ?? "";
  return text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}…` : text;
}

/**
 * Whether the user wants notifications of such messages in that conversation.
 * @param {App["store"]} store
 * @param {Place} place
 * @param {Message} message
 */
export function isWanted(store, place, message) {
  const level = store.notifyLevel(place);
  const mentioned = (message.mentions ?? []).some((who) => who === "@all" || store.isMe(who));
  return level === "all" || (level === "mentions" && mentioned);
}

/**
 * @param {App} app
 * @param {Place} place
 * @param {Message} message
 * @param {string} text
 */
async function notify(app, place, message, text) {
  if (notificationState() !== "on" || message.blocked || !isWanted(app.store, place, message)) return;
  const name = app.store.displayName(message.from);
  const head = place.kind === "u" ? name : t("app.in", { name, group: app.store.groupName(place) });
  const options = {
    body: text,
    tag: `${app.store.me?.username} ${place.key}`, // a newer notification replaces an older one
    icon: "/static/icons/icon-192.png",
    data: { hash: hashOf(place) },
  };
  const registration = await worker();
  if (registration) return registration.showNotification(head, options);
  const shown = new Notification(head, options);
  shown.onclick = () => {
    window.focus();
    app.router.go(options.data.hash);
    shown.close();
  };
}
