// @ts-check
/** Read marks on their way to the realm. They are sent until it confirms them. */

/** @import { Connection } from "./connection.js" */

export class Marks {
  /** @type {Map<number, number>} seq by conversation, not yet confirmed by the realm */
  #waiting = new Map();
  #connection;

  /** @param {Connection} connection */
  constructor(connection) {
    this.#connection = connection;
  }

  /** The unconfirmed read mark of a conversation. @param {number} conversation */
  of(conversation) {
    return this.#waiting.get(conversation) ?? 0;
  }

  /** @param {number} conversation @param {number} seq */
  send(conversation, seq) {
    this.#waiting.set(conversation, seq);
    void this.#send(conversation, seq);
  }

  sendAll() {
    for (const [conversation, seq] of this.#waiting) void this.#send(conversation, seq);
  }

  clear() {
    this.#waiting.clear();
  }

  /** @param {number} conversation @param {number} seq */
  async #send(conversation, seq) {
    try {
      await this.#connection.request("read", { conversation, seq });
    } catch {
      return; // sent again when the link is back
    }
    if (this.#waiting.get(conversation) === seq) this.#waiting.delete(conversation);
  }
}
