// @ts-check
/** Says aloud, to a screen reader, what arrives in a conversation; a burst of it as a number. */

import { t } from "../i18n.js";

/** @typedef {import("../types.js").Message} Message */

const GATHER = 400; // ms that what arrives together is waited for
const MOST = 3; // messages read out at once

export class Hearing {
  #say;
  #nameOf;
  /** @type {Message[]} */
  #heard = [];
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
  hear(message) {
    this.#heard.push(message);
    this.#timer ??= window.setTimeout(() => this.#tell(), GATHER);
  }

  /** What was heard and not told is forgotten. */
  destroy() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#heard = [];
  }

  #tell() {
    const heard = this.#heard;
    this.#heard = [];
    this.#timer = undefined;
    if (heard.length > MOST) this.#say(t("chat.heard", { n: heard.length }));
    else this.#say(heard.map((each) => this.#sentence(each)).join(" "));
  }

  /**
   * @param {Message} message
   */
  #sentence({ from, text, file }) {
    const name = this.#nameOf(from);
    if (file) return t("chat.heard.file", { name, file: file.name });
    return t("chat.heard.text", { name, text: text ?? "" });
  }
}
