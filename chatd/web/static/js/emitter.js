// @ts-check
/** Telling whoever wants to know. */

export class Emitter {
  /** @type {Map<string, Set<(detail: any) => void>>} */
  #listeners = new Map();

  /**
   * Calls `listener` for each `type` from now on.
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
        // One listener's trouble is not the others'.
        reportError(error);
      }
    }
  }
}
