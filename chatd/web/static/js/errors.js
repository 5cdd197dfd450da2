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

/** The link was lost or down: whether the request was carried out is unknown. */
export class LinkLost extends Error {
  constructor() {
    super("The connection was lost");
    this.name = "LinkLost";
  }
}
