// @ts-check
/** The days between messages. */

import { daysAgo, format, millis, near } from "../time.js";

/** The day, for the line between messages: Today, Yesterday, Monday, 3 March 2026. @param {number | string} at */
export function dayLabel(at) {
  const days = daysAgo(millis(at));
  if (days === 0 || days === 1) return near(days);
  if (days > 1 && days < 7) return format("weekday", { weekday: "long" }).format(millis(at));
  return format("day", { day: "numeric", month: "long", year: "numeric" }).format(millis(at));
}
