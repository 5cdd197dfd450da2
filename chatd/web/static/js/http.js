// @ts-check
/** The session over HTTP. Its token is in a cookie that scripts can't read. */

import { ChatError, LinkLost } from "./errors.js";

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
    // No answer, or one from a proxy on the way.
    throw new LinkLost();
  }
  if (found?.status !== "OK") {
    throw new ChatError(String(found?.code ?? "http"), String(found?.message ?? `HTTP ${answer.status}`));
  }
  return found;
}
