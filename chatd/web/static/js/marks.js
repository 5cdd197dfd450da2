// @ts-check
/** Read marks on their way to the realm, which are sent until it has them; other tabs are told at once. */

/** @import { Connection } from "./connection.js" */

export class Marks {
  /** @type {Map<number, number>} seq by conversation: what the realm has not confirmed */
  #waiting = new Map();
  #connection;
  #tabs = "BroadcastChannel" in globalThis ? new BroadcastChannel("chatd") : null;

  /**
   * @param {Connection} connection
   * @param {(said: {read?: string, seq?: number, me?: string}) => void} elsewhere another tab of this browser has read
   */
  constructor(connection, elsewhere) {
    this.#connection = connection;
    this.#tabs?.addEventListener("message", (event) => elsewhere(event.data));
  }

  /** How far one has read, as far as that is still on its way. @param {number} conversation */
  of(conversation) {
    return this.#waiting.get(conversation) ?? 0;
  }

  /** @param {{read: string, seq: number, me?: string}} said */
  tell(said) {
    this.#tabs?.postMessage(said);
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
      return; // it is sent again when the link is back
    }
    if (this.#waiting.get(conversation) === seq) this.#waiting.delete(conversation);
  }
}
