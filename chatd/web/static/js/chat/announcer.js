// @ts-check
/** Announces new messages of a conversation to screen readers; many at once as a number. */

import { t } from "../i18n.js";

/** @typedef {import("../types.js").Message} Message */

const GATHER = 400; // ms during which messages are collected
const MAX = 3; // messages read out at once

export class Announcer {
  #say;
  #nameOf;
  /** @type {Message[]} */
  #waiting = [];
  /** @type {number | undefined} */
  #timer;

  /**
   * @param {(text: string) => void} say
   * @param {(address: string) => string} nameOf
   */
  constructor(say, nameOf) {
    this.#say = say;
    this.#nameOf = nameOf;
  }

  /** @param {Message} message */
  add(message) {
    this.#waiting.push(message);
    this.#timer ??= window.setTimeout(() => this.#tell(), GATHER);
  }

  /** Drops messages that were not announced yet. */
  destroy() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#waiting = [];
  }

  #tell() {
    const heard = this.#waiting;
    this.#waiting = [];
    this.#timer = undefined;
    if (heard.length > MAX) this.#say(t("chat.heard", { n: heard.length }));
    else this.#say(heard.map((each) => this.#sentence(each)).join(" "));
  }

  /**
   * @param {Message} message
   */
  #sentence({ from, text, file, opaque }) {
    const name = this.#nameOf(from);
    if (opaque !== undefined) return t("chat.heard.text", { name, text: t("chat.opaque") });
    if (file) return t("chat.heard.file", { name, file: file.name });
    return t("chat.heard.text", { name, text: text ?? "" });
  }
}
