// @ts-check
/**
 * Completes names while a message is written: after `@`, a list of the people of the conversation is shown above the
 * field. The arrow keys move in it, Enter and Tab choose, Escape closes it.
 */

import { fill, h, name, uid } from "../dom.js";
import { t } from "../i18n.js";
import { keyOf } from "../keys.js";
import { avatar } from "../ui.js";

/** @typedef {{address: string, name: string, picture?: string}} Candidate `name` is the display name */

const SHOWN = 6; // candidates at once
/** A name that is being written, before the cursor. A realm may mention whom chatd/base/mentions.py finds. */
const BEGUN = /(?<![\p{L}\p{M}\p{N}_@.-])@([\p{L}\p{M}\p{N}_.@-]{0,129})$/u;

/**
 * Those that fit what was typed: first by the beginning of the address, then by that of a word of the name.
 * @param {readonly Candidate[]} all
 * @param {string} typed
 * @returns {Candidate[]}
 */
export function fitting(all, typed) {
  const wanted = keyOf(typed);
  const rank = (/** @type {Candidate} */ { address, name }) => {
    if (keyOf(address).startsWith(wanted)) return 0;
    return keyOf(name).split(/\s+/u).some((word) => word.startsWith(wanted)) ? 1 : 2;
  };
  const found = all.filter((each) => rank(each) < 2);
  return found.sort((one, other) => rank(one) - rank(other) || one.name.localeCompare(other.name)).slice(0, SHOWN);
}

export class Mentioning {
  #field;
  #people;
  #id = uid("mentions");
  /** @type {Candidate[]} */
  #found = [];
  #current = 0;
  #turn = 0;

  /**
   * @param {HTMLTextAreaElement} field
   * @param {() => Promise<readonly Candidate[]>} people
   */
  constructor(field, people) {
    this.#field = field;
    this.#people = people;
    this.node = h("ul", { class: "mentions", id: this.#id, role: "listbox", "aria-label": t("chat.mentions"), hidden: true });
    field.setAttribute("aria-autocomplete", "list");
    field.setAttribute("aria-haspopup", "listbox");
    field.addEventListener("blur", () => this.close());
  }

  /** After each change of the text or of the cursor's place. */
  async update() {
    this.#turn += 1;
    const turn = this.#turn;
    const typed = this.#begun();
    if (typed === null) return this.close();
    const people = await this.#people().catch(() => []);
    // The user may have typed on, or gone elsewhere.
    if (turn !== this.#turn || this.#begun() !== typed || document.activeElement !== this.#field) return;
    this.#found = fitting(people, typed);
    this.#current = 0;
    this.#show();
  }

  close() {
    this.#turn += 1;
    this.#found = [];
    this.#show();
  }

  /** Takes a key, if the list is open and the key is for it. @param {KeyboardEvent} event @returns {boolean} */
  key({ key, shiftKey, altKey, ctrlKey, metaKey }) {
    const { length } = this.#found;
    if (length === 0 || shiftKey || altKey || ctrlKey || metaKey) return false;
    if (key === "ArrowDown" || key === "ArrowUp") {
      this.#current = (this.#current + (key === "ArrowDown" ? 1 : length - 1)) % length;
      this.#show();
    } else if (key === "Enter" || key === "Tab") {
      this.#choose(this.#found[this.#current]);
    } else if (key === "Escape") {
      this.close();
    } else {
      return false;
    }
    return true;
  }

  /** What was typed after the `@` before the cursor; null if there is none. */
  #begun() {
    const { value, selectionStart, selectionEnd } = this.#field;
    if (selectionStart !== selectionEnd) return null;
    return BEGUN.exec(value.slice(0, selectionStart))?.[1] ?? null;
  }

  /** @param {Candidate} candidate */
  #choose({ address }) {
    const typed = this.#begun();
    if (typed === null) return this.close();
    const end = this.#field.selectionStart;
    const space = /^\s/u.test(this.#field.value.slice(end)) ? "" : " ";
    this.#field.setRangeText(`${address}${space}`, end - typed.length, end, "end");
    this.#field.dispatchEvent(new Event("input"));
    this.close();
  }

  #show() {
    const found = this.#found;
    this.node.hidden = found.length === 0;
    fill(this.node, ...found.map((candidate, at) => this.#option(candidate, at)));
    if (found.length === 0) {
      this.#field.removeAttribute("aria-activedescendant");
      this.#field.removeAttribute("aria-controls");
    } else {
      this.#field.setAttribute("aria-controls", this.#id);
      this.#field.setAttribute("aria-activedescendant", `${this.#id}-${this.#current}`);
    }
  }

  /** @param {Candidate} candidate @param {number} at */
  #option(candidate, at) {
    return h(
      "li",
      {
        class: "mention-option",
        id: `${this.#id}-${at}`,
        role: "option",
        "aria-selected": at === this.#current,
        on: {
          // The field keeps the focus.
          pointerdown: (/** @type {Event} */ event) => event.preventDefault(),
          click: () => this.#choose(candidate),
        },
      },
      avatar(candidate.name, undefined, { picture: candidate.picture }),
      h("span", { class: "mention-name" }, name(candidate.name)),
      candidate.name !== candidate.address && h("bdi", { class: "mention-address" }, `@${candidate.address}`),
    );
  }
}
