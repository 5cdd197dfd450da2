// @ts-check
/** The names of programs in the list of sessions. */

import { t } from "../i18n.js";

/** Marks in what browsers say of themselves, the more special ones first, and the names that people know. */
const BROWSERS = { "Edg": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "Chrome/": "Chrome", "Safari/": "Safari" };
const SYSTEMS = {
  "Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "Windows": "Windows", "Mac OS": "macOS", "CrOS": "ChromeOS",
  "Linux": "Linux",
};

/**
 * A name for people: `Firefox, Windows` for what a browser says of itself, and otherwise what the program said.
 * @param {string} client
 */
export function programName(client) {
  if (client === "") return t("settings.session-unknown");
  if (!client.startsWith("Mozilla/")) return client;
  const named = [BROWSERS, SYSTEMS].map((names) => Object.entries(names).find(([mark]) => client.includes(mark))?.[1]);
  return named.filter(Boolean).join(", ") || client;
}
