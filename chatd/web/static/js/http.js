// @ts-check
/** The session over HTTP. Its token is in a cookie that scripts can't read. */

import { ChatError, LinkLost, checked } from "./errors.js";

export { ChatError, LinkLost };

/** @import { Session } from "./types.js" */

/** The session: the realm, and the account that is logged in. @returns {Promise<Session>} */
export function session() {
  return ask("GET", "/session");
}

/**
 * The answer to a request. Throws ChatError, LinkLost.
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @returns {Promise<any>}
 */
export async function ask(method, path, body) {
  return send(path, {
    method,
    cache: "no-store",
    headers: body ? { "Content-Type": "application/json" } : {},
    body: body ? JSON.stringify(body) : undefined,
  });
}

/**
 * The realm's answer to a request. Throws ChatError if the realm refuses it, LinkLost if it did not answer: then
 * there is no answer, or that of a proxy on the way.
 * @param {string} path
 * @param {RequestInit} init
 * @returns {Promise<any>}
 */
export async function send(path, init) {
  let found;
  try {
    found = await (await fetch(path, { credentials: "same-origin", ...init })).json();
  } catch {
    throw new LinkLost();
  }
  return checked(found);
}
