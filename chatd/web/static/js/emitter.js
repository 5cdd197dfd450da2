// @ts-check
/** Events without the DOM: an emitter and its listeners. */

export class Emitter {
  /** @type {Map<string, Set<(detail: any) => void>>} */
  #listeners = new Map();

  /**
   * Calls `listener` at each `type`.
   * @param {string} type
   * @param {(detail: any) => void} listener
   * @returns {() => void} ends that
   */
  on(type, listener) {
    const listeners = this.#listeners.get(type) ?? new Set();
    this.#listeners.set(type, listeners);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  /** @param {string} type @param {unknown} [detail] */
  emit(type, detail) {
    for (const listener of [...(this.#listeners.get(type) ?? [])]) {
      try {
        listener(detail);
      } catch (error) {
        // An error in one listener does not affect the others.
        reportError(error);
      }
    }
  }
}
