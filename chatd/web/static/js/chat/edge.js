// @ts-check
/** An end of the loaded messages, where more are loaded as the reader comes near. */

import { h } from "../dom.js";
import { t } from "../i18n.js";

/**
 * @typedef {{
 *   more: () => boolean,
 *   load: () => Promise<void>,
 *   loaded: () => void,
 *   words: {loading: string, failed: string, end: string},
 * }} Options `more`: whether there is more to load; `words` are keys of texts; an empty one shows nothing
 */

export class Edge {
  #options;
  /** @type {"idle" | "loading" | "failed"} */
  #state = "idle";

  /**
   * @param {string} name its class
   * @param {Options} options
   */
  constructor(name, options) {
    this.#options = options;
    this.node = h("div", { class: name });
  }

  /** Loads more, unless it is doing that, has failed, or there is no more. */
  reach() {
    if (this.#state === "idle" && this.#options.more()) void this.#load();
  }

  /** @param {boolean} ends whether the last of the loaded messages is on the page */
  show(ends) {
    const { words, more } = this.#options;
    const state = this.#state === "idle" && ends && !more() ? "end" : this.#state;
    if (this.node.dataset.state === state) return;
    this.node.dataset.state = state;
    const text = state === "idle" || words[state] === "" ? "" : t(words[state]);
    const again = () =>
      h("button", { class: "link-button", type: "button", on: { click: () => void this.#load() } }, text);
    this.node.replaceChildren(state === "failed" ? again() : text);
  }

  async #load() {
    this.#state = "loading";
    this.show(true);
    try {
      await this.#options.load();
      this.#state = "idle";
    } catch {
      this.#state = "failed";
    }
    this.show(true);
    if (this.#state === "idle") this.#options.loaded();
  }
}
