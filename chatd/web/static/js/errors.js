// @ts-check
/** The errors of requests to the realm. */

/** The realm refused: a stable code (docs/protocol.md), and its sentence in English. */
export class ChatError extends Error {
  /**
   * @param {string} code
   * @param {string} message
   */
  constructor(code, message) {
    super(message);
    this.name = "ChatError";
    this.code = code;
  }
}

/**
 * The realm's answer to a request, as an object. Throws ChatError if it is a refusal, LinkLost if it is not from
 * the realm.
 * @param {any} found
 * @returns {any}
 */
export function checked(found) {
  if (found?.status === "OK") return found;
  if (found?.status === "ERROR" && typeof found.code === "string") {
    throw new ChatError(found.code, String(found.message));
  }
  throw new LinkLost();
}

/** The link was lost or down: whether the request was carried out is unknown. */
export class LinkLost extends Error {
  constructor() {
    super("The connection was lost");
    this.name = "LinkLost";
  }
}
