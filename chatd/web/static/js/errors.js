// @ts-check
/** What can go wrong between the page and its realm. */

/** The realm said no: a stable code (docs/protocol.md), and its own sentence, in English. */
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

/** The link went, or was not there: nobody knows whether it was done. */
export class LinkLost extends Error {
  constructor() {
    super("The connection was lost");
    this.name = "LinkLost";
  }
}
