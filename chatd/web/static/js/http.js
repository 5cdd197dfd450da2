// @ts-check
/** The session over HTTP. The browser keeps its token in a cookie that no script can read. */

import { ChatError, LinkLost } from "./errors.js";

export { ChatError, LinkLost };

/** @import { Session } from "./types.js" */

/** Who one is, and what this realm is like. @returns {Promise<Session>} */
export function session() {
  return ask("GET", "/session");
}

/** @param {string} username @param {string} password @returns {Promise<Session>} */
export function login(username, password) {
  return ask("POST", "/session", { username, password });
}

/**
 * Makes an account, and logs in to it.
 * @param {{username: string, password: string, name?: string, country?: string}} account
 * @returns {Promise<Session>}
 */
export function register(account) {
  return ask("POST", "/accounts", account);
}

/**
 * @param {{everywhere?: boolean}} [options] `everywhere` ends all of the account's sessions
 * @returns {Promise<unknown>}
 */
export function logout({ everywhere = false } = {}) {
  return ask("DELETE", everywhere ? "/session?everywhere=true" : "/session");
}

/**
 * The answer to a request. Throws ChatError, LinkLost.
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @returns {Promise<any>}
 */
export async function ask(method, path, body) {
  let answer;
  let found;
  try {
    answer = await fetch(path, {
      method,
      credentials: "same-origin",
      cache: "no-store",
      headers: body ? { "Content-Type": "application/json" } : {},
      body: body ? JSON.stringify(body) : undefined,
    });
    found = await answer.json();
  } catch {
    // Nobody answered, or something between here and the realm did.
    throw new LinkLost();
  }
  if (found?.status !== "OK") {
    throw new ChatError(String(found?.code ?? "http"), String(found?.message ?? `HTTP ${answer.status}`));
  }
  return found;
}
