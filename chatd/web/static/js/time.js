// @ts-check
/** Times in the reader's language and zone. All take ms since 1970, or a message's `at`. */

import { language, locale } from "./i18n.js";

const DAY = 86_400_000;

/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

/**
 * @param {string} name
 * @param {Intl.DateTimeFormatOptions} options
 */
export function format(name, options) {
  const key = `${locale()} ${name}`;
  const found = formats.get(key) ?? new Intl.DateTimeFormat(locale(), options);
  formats.set(key, found);
  return found;
}

/** @param {number | string} at @returns {number} ms since 1970 */
export function millis(at) {
  return typeof at === "number" ? at : Date.parse(at);
}

/** Calendar days between a time and now. @param {number} at */
export function daysAgo(at) {
  const midnight = (/** @type {number} */ time) => new Date(time).setHours(0, 0, 0, 0);
  return Math.round((midnight(Date.now()) - midnight(at)) / DAY);
}

/** Today or yesterday, in words. @param {number} days */
export function near(days) {
  const words = new Intl.RelativeTimeFormat(language(), { numeric: "auto" }).format(-days, "day");
  return words.charAt(0).toLocaleUpperCase(language()) + words.slice(1);
}

/** The time of day. @param {number | string} at */
export function clock(at) {
  return format("clock", { hour: "2-digit", minute: "2-digit" }).format(millis(at));
}

/** Day and time in full, for a title or a screen reader. @param {number | string} at */
export function full(at) {
  return format("full", { dateStyle: "long", timeStyle: "short" }).format(millis(at));
}

/** Short, for lists: the time if it is today, else the day. @param {number | string} at */
export function relative(at) {
  const time = millis(at);
  const days = daysAgo(time);
  if (days === 0) return clock(time);
  if (days === 1) return near(1);
  if (days > 1 && days < 7) return format("short weekday", { weekday: "short" }).format(time);
  return format("date", { day: "numeric", month: "numeric", year: "2-digit" }).format(time);
}
