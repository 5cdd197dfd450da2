// @ts-check
/** The loaded messages of one conversation: sorted by seq, without duplicates or gaps. */

/** @import { Message } from "./types.js" */

export class Thread {
  /** @type {Message[]} */
  list = [];
  hasOlder = true;
  /** Whether the newest page has been loaded. Until then new messages are not added. */
  loaded = false;

  /** @type {number | null} the seq after which messages are missing that came while the link was down */
  #hole = null;

  /** The seq up to which nothing is missing. */
  get lastSeq() {
    return this.#hole ?? this.#newest;
  }

  get #newest() {
    return this.list.at(-1)?.seq ?? 0;
  }

  get hasQueued() {
    return this.list.some((message) => message.state === "queued");
  }

  /**
   * Takes the newest page. If it does not reach the known messages, these are dropped; they can be loaded again.
   * @param {Message[]} page by seq
   * @param {boolean} whole whether these are all messages
   */
  takeNewest(page, whole) {
    const first = page[0]?.seq ?? 0;
    if (!this.loaded || whole || first > this.lastSeq + 1) {
      const newer = this.list.filter((message) => this.loaded && message.seq > (page.at(-1)?.seq ?? 0));
      this.list = newer;
      this.hasOlder = !whole;
    } else {
      // Known messages within the page's range that the page lacks no longer exist.
      this.list = this.list.filter((message) => message.seq < first || message.seq > (page.at(-1)?.seq ?? 0));
    }
    this.loaded = true;
    this.#hole = null;
    this.#merge(page);
  }

  /** Takes an older page. @param {Message[]} page @param {boolean} whole whether there is nothing before it */
  takeOlder(page, whole) {
    this.hasOlder = !whole && page.length > 0;
    this.#merge(page);
  }

  /** Adds a new message. Returns whether anything changes. @param {Message} message */
  add(message) {
    if (!this.loaded) return false;
    const newest = this.#newest;
    if (message.seq > newest + 1) this.#hole ??= newest;
    if (message.seq > newest) this.list = [...this.list, message];
    else this.#merge([message]);
    return true;
  }

  /** Merges a page from the realm, which replaces what the client has assumed. @param {Message[]} page */
  #merge(page) {
    const all = new Map(this.list.map((message) => [message.seq, message]));
    for (const message of page) {
      const key = all.get(message.seq)?.key;
      all.set(message.seq, key && !message.key ? { ...message, key } : message);
    }
    this.list = [...all.values()].sort((one, other) => one.seq - other.seq);
  }
}
