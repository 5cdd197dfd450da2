// @ts-check
/** Who is typing. A realm says it again every few seconds; what it does not repeat expires. */

const EXPIRES = 6000; // ms

export class Typing {
  /** @type {Map<string, Map<string, ReturnType<typeof setTimeout>>>} timers by conversation and address */
  #timers = new Map();
  #changed;

  /** @param {(key: string) => void} changed called with the key of the place */
  constructor(changed) {
    this.#changed = changed;
  }

  /** The addresses of the people who are typing there. @param {string} key @returns {string[]} */
  in(key) {
    return [...(this.#timers.get(key)?.keys() ?? [])];
  }

  /** @param {string} key @param {string} who */
  start(key, who) {
    const people = this.#timers.get(key) ?? new Map();
    this.#timers.set(key, people);
    const fresh = !people.has(who);
    clearTimeout(people.get(who));
    people.set(who, setTimeout(() => this.stop(key, who), EXPIRES));
    if (fresh) this.#changed(key);
  }

  /** @param {string} key @param {string} who */
  stop(key, who) {
    const people = this.#timers.get(key);
    if (!people?.has(who)) return;
    clearTimeout(people.get(who));
    people.delete(who);
    if (people.size === 0) this.#timers.delete(key);
    this.#changed(key);
  }
}
