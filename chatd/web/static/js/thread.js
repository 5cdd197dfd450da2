// @ts-check
/** The messages of one conversation as far as they were loaded: by seq, none twice, without gaps. */

/** @import { Message } from "./types.js" */

export class Thread {
  /** @type {Message[]} */
  list = [];
  hasOlder = true;
  /** Whether the newest have been got; before that, what arrives can wait for them. */
  loaded = false;

  /** @type {number | null} behind which something is missing: what was said while the link was away */
  #hole = null;

  /** Up to where nothing is missing, as far down as was loaded. */
  get lastSeq() {
    return this.#hole ?? this.#newest;
  }

  get #newest() {
    return this.list.at(-1)?.seq ?? 0;
  }

  get hasQueued() {
    return this.list.some((message) => message.queued);
  }

  /**
   * The newest page. If it does not reach down to what is known, that is let go of: it can be got again.
   * @param {Message[]} page by seq
   * @param {boolean} whole whether it is all there is
   */
  takeNewest(page, whole) {
    const first = page[0]?.seq ?? 0;
    if (!this.loaded || whole || first > this.lastSeq + 1) {
      const newer = this.list.filter((message) => this.loaded && message.seq > (page.at(-1)?.seq ?? 0));
      this.list = newer;
      this.hasOlder = !whole;
    } else {
      // What the page does not have of its own stretch is not there any more.
      this.list = this.list.filter((message) => message.seq < first || message.seq > (page.at(-1)?.seq ?? 0));
    }
    this.loaded = true;
    this.#hole = null;
    this.#merge(page);
  }

  /** A page from above. @param {Message[]} page @param {boolean} whole whether there is nothing above it */
  takeOlder(page, whole) {
    this.hasOlder = !whole && page.length > 0;
    this.#merge(page);
  }

  /** One that has just been stored; whether that changes anything here. @param {Message} message */
  add(message) {
    if (!this.loaded) return false;
    const newest = this.#newest;
    if (message.seq > newest + 1) this.#hole ??= newest;
    if (message.seq > newest) this.list = [...this.list, message];
    else this.#merge([message]);
    return true;
  }

  /** What the realm says takes the place of what was guessed here. @param {Message[]} page */
  #merge(page) {
    const all = new Map(this.list.map((message) => [message.seq, message]));
    for (const message of page) {
      const key = all.get(message.seq)?.key;
      all.set(message.seq, key && !message.key ? { ...message, key } : message);
    }
    this.list = [...all.values()].sort((one, other) => one.seq - other.seq);
  }
}
