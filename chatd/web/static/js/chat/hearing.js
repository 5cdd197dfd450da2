// @ts-check
/** Says aloud, to a screen reader, what arrives in a conversation; a burst of it as a number. */

import { t } from "../i18n.js";

/** @typedef {import("../types.js").Message} Message */

const GATHER = 400; // ms that what arrives together is waited for
const MOST = 3; // messages read out at once

export class Hearing {
  /**
   * @param {(text: string) => void} say
   * @param {(address: string) => string} nameOf
   */
  constructor(say, nameOf) {
    /** @private */
    this._say = say;
    /** @private */
    this._nameOf = nameOf;
    /** @private @type {Message[]} */
    this._heard = [];
    /** @private @type {number | undefined} */
    this._timer = undefined;
  }

  /** @param {Message} message */
  hear(message) {
    this._heard.push(message);
    this._timer ??= window.setTimeout(() => this._tell(), GATHER);
  }

  destroy() {
    clearTimeout(this._timer);
  }

  /** @private */
  _tell() {
    const heard = this._heard;
    this._heard = [];
    this._timer = undefined;
    if (heard.length > MOST) this._say(t("chat.heard", { n: heard.length }));
    else this._say(heard.map((each) => this._sentence(each)).join(" "));
  }

  /**
   * @private
   * @param {Message} message
   */
  _sentence({ from, text, file }) {
    const name = this._nameOf(from);
    if (file) return t("chat.heard.file", { name, file: file.name });
    return t("chat.heard.text", { name, text: text ?? "" });
  }
}
