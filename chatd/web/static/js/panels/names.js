// @ts-check
/** What a name may be, as in chatd/base/names.py, to check it before the server does. */

import { keyOf } from "../keys.js";

export const NAME = /^(?!\p{M})[\p{L}\p{M}\p{N}_.-]{1,64}$/u;
const ROOM = /^(?![\p{M} ])[\p{L}\p{M}\p{N}_. -]{1,64}(?<! )$/u;
const CODE = /^[a-z0-9]{1,16}:[a-z0-9]{1,16}$/i;

/**
 * Parses `name` or `name@realm`, of a user or a group.
 * @param {string} text
 * @returns {{name: string, realm: string | null, text: string} | null} null if it can't be one
 */
export function parseAddress(text) {
  const tidy = text.trim().normalize("NFC");
  const at = tidy.indexOf("@");
  const name = at < 0 ? tidy : tidy.slice(0, at);
  const realm = at < 0 ? null : tidy.slice(at + 1);
  if (!NAME.test(name) || (realm !== null && !NAME.test(realm))) return null;
  return { name, realm, text: tidy };
}

/**
 * As `parseAddress`, for a group, which may be given by its code or by a join link.
 * @param {string} text
 */
export function parseGroup(text) {
  const tidy = codeOfLink(text.trim());
  const [code = "", realm] = tidy.split("@", 2);
  if (!CODE.test(code)) return parseAddress(tidy.replace(/^#/u, ""));
  return realm === undefined || NAME.test(realm) ? { name: code, realm: realm ?? null, text: tidy } : null;
}

/**
 * The code in a join link, with its realm if it is another one. Other texts stay as they are.
 * @param {string} text
 */
function codeOfLink(text) {
  const [, host, code, realm] = /^https?:\/\/([^/?#]+)\/join\/([^/?#@]+)(?:@([^/?#]+))?$/iu.exec(text.replace(/%3A/giu, ":")) ?? [];
  if (code === undefined) return text;
  const elsewhere = realm ?? (host === location.host ? null : host.replace(/:\d+$/u, ""));
  return elsewhere === null ? code : `${code}@${elsewhere}`;
}

/**
 * Splits a list of addresses at commas, semicolons or spaces.
 * @param {string} text
 * @returns {string[]}
 */
export function splitPeople(text) {
  return text.split(/[\s,;]+/u).filter(Boolean);
}

/** @param {string} text */
export function isRoom(text) {
  return ROOM.test(text.normalize("NFC"));
}

/**
 * The realm of an address, or null for the user's own.
 * @param {string} address
 */
export function realmOf(address) {
  const at = address.indexOf("@");
  return at < 0 ? null : address.slice(at + 1);
}

/**
 * Whether one of the parts contains the typed text.
 * @param {string} typed
 * @param {...(string | null | undefined)} parts
 */
export function matches(typed, ...parts) {
  const wanted = keyOf(typed.trim());
  return parts.some((part) => part != null && keyOf(part).includes(wanted));
}
