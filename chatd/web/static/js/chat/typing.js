// @ts-check
/** Tells the others of a conversation that the user is typing, but not too often. */

/** @typedef {import("../types.js").App} App */
/** @typedef {import("../types.js").Place} Place */

const PAUSE = 3000; // ms between two notices

export class TypingNotice {
  #app;
  #place;
  /** When it was last told, in ms. */
  #told = -Infinity;

  /** @param {App} app @param {Place} place */
  constructor(app, place) {
    this.#app = app;
    this.#place = place;
  }

  /** The user has typed something. */
  tell() {
    const { connection, store } = this.#app;
    const now = performance.now();
    if (!store.conversation(this.#place) || connection.state !== "open" || now - this.#told < PAUSE) return;
    this.#told = now;
    const at = { [this.#place.kind === "u" ? "user" : "group"]: this.#place.name };
    connection.request("typing", at).catch(() => {}); // nothing depends on it
  }

  /** The text was sent: the next one is told at once. */
  sent() {
    this.#told = -Infinity;
  }
}
