// @ts-check
/**
 * Texts on their way out. Each has a key, the client's own name for the send: the realm stores a key once,
 * however often it comes, so what was not answered is simply sent again.
 *
 * Entries lie in localStorage, one item each, until they are answered: they outlive a reload, a crash and a
 * session. In a conversation they go one after the other.
 */

import { Emitter } from "./emitter.js";
import { ChatError } from "./errors.js";
import { keyOf, newKey } from "./keys.js";

/** @import { Entry, Place, Message } from "./types.js" */

const PREFIX = "chatd.federation.outbox.";
const PASSING = new Set(["storage-failed", "disk-full", "shutting-down", "too-many-connections", "not-logged-in"]);
const LATER = 5000; // ms until the realm is asked again after one of those

/** Emits `change` (detail: the Place) whenever something about its entries is different. */
export class Outbox extends Emitter {
  /** @type {Map<string, Entry>} by key, oldest first */
  #entries = new Map();
  /** @type {Set<string>} keys of places with a request under way */
  #busy = new Set();
  #account = "";
  #connection;
  #store;

  /** @param {import("./connection.js").Connection} connection @param {import("./store.js").Store} store */
  constructor(connection, store) {
    super();
    this.#connection = connection;
    this.#store = store;
    connection.addEventListener("state", () => this.#flush());
    connection.addEventListener("message", (event) => this.#came(/** @type {CustomEvent} */ (event).detail));
    globalThis.addEventListener?.("storage", (event) => this.#changedElsewhere(event));
  }

  /** Takes up what an account left unsent. @param {string} username */
  start(username) {
    if (this.#account === keyOf(username)) return;
    this.#account = keyOf(username);
    this.#entries.clear();
    const found = /** @type {Entry[]} */ (stored(this.#prefix).map(parse).filter(Boolean));
    for (const entry of found.sort((one, other) => one.at - other.at)) this.#entries.set(entry.key, entry);
    this.#flush();
  }

  stop() {
    this.#account = "";
    this.#entries.clear();
    this.#busy.clear();
  }

  /** Forgets all that is unsent: for who logs out knowingly. */
  clear() {
    for (const entry of [...this.#entries.values()]) this.discard(entry.key);
  }

  /**
   * What is on its way to a place, oldest first; everywhere without one.
   * @param {Place} [place]
   * @returns {Entry[]}
   */
  entries(place) {
    const all = [...this.#entries.values()];
    return place ? all.filter((entry) => entry.place.key === place.key) : all;
  }

  /**
   * Sends a text, which must be one line. The entry is on its way when this returns.
   * @param {Place} place
   * @param {string} text
   * @returns {Entry}
   */
  send(place, text) {
    /** @type {Entry} */
    const entry = { key: newKey(), place, text, state: "sending", at: Date.now() };
    this.#entries.set(entry.key, entry);
    this.#changed(entry);
    void this.#pump(place);
    return entry;
  }

  /** Tries again what was refused, after all else that is for that place. @param {string} key */
  retry(key) {
    const entry = this.#entries.get(key);
    if (entry?.state !== "refused") return;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.state = "sending";
    delete entry.error;
    this.#changed(entry);
    void this.#pump(entry.place);
  }

  /** Gives an entry up. If it is already on its way it may arrive all the same. @param {string} key */
  discard(key) {
    const entry = this.#entries.get(key);
    if (entry) this.#remove(entry);
  }

  #flush() {
    if (this.#connection.state !== "open") return;
    for (const place of new Map(this.entries().map((entry) => [entry.place.key, entry.place])).values()) {
      void this.#pump(place);
    }
  }

  /** Sends what waits for a place, one after the other, as long as the link is there. @param {Place} place */
  async #pump(place) {
    if (this.#busy.has(place.key)) return;
    this.#busy.add(place.key);
    try {
      let entry;
      while (this.#connection.state === "open" && (entry = this.#next(place))) await this.#try(entry);
    } catch {
      // The link went, or the realm can't just now: `#flush` goes on with it.
    } finally {
      this.#busy.delete(place.key);
    }
  }

  /** @param {Place} place */
  #next(place) {
    return this.entries(place).find((entry) => entry.state === "sending");
  }

  /** @param {Entry} entry */
  async #try(entry) {
    const account = this.#account;
    const { place, text, key } = entry;
    let reply;
    try {
      reply =
        place.kind === "u"
          ? await this.#connection.request("send", { to: place.name, text, key })
          : await this.#connection.request("sendgroup", { group: place.name, text, key });
    } catch (error) {
      if (account !== this.#account) throw error;
      if (!(error instanceof ChatError)) throw error;
      if (PASSING.has(error.code)) {
        setTimeout(() => this.#flush(), LATER);
        throw error;
      }
      entry.state = "refused";
      entry.error = { code: error.code, message: error.message };
      this.#changed(entry);
      return;
    }
    if (account !== this.#account) return;
    if (reply.seq) {
      // First the message, then away with the entry: whoever draws in between sees it in one of the two.
      this.#store.addSent(place, reply, { text, key });
      this.#remove(entry);
    } else if (reply.queued) {
      entry.state = "queued";
      this.#changed(entry);
    } else {
      this.#remove(entry);
    }
  }

  /** What waited for its group's realm comes back as a message, without its key. @param {Message} message */
  #came(message) {
    if (message.group === undefined || !this.#store.isMe(message.from)) return;
    const place = this.#store.placeOf(message);
    const entry = this.entries(place).find((each) => each.state === "queued" && each.text === message.text);
    if (entry) this.#remove(entry);
  }

  // On disk

  get #prefix() {
    return `${PREFIX}${this.#account}.`;
  }

  /** @param {Entry} entry */
  #changed(entry) {
    try {
      localStorage.setItem(this.#prefix + entry.key, JSON.stringify(entry));
    } catch {
      // Storage is full or forbidden: it is kept as long as the page is open.
    }
    this.emit("change", entry.place);
  }

  /** @param {Entry} entry */
  #remove(entry) {
    this.#entries.delete(entry.key);
    try {
      localStorage.removeItem(this.#prefix + entry.key);
    } catch {
      // As above.
    }
    this.emit("change", entry.place);
  }

  /** Another tab of this account has sent, or been refused, or given up. @param {StorageEvent} event */
  #changedElsewhere(event) {
    if (!this.#account || !event.key?.startsWith(this.#prefix)) return;
    const before = this.#entries.get(event.key.slice(this.#prefix.length));
    const entry = event.newValue === null ? null : parse(event.newValue);
    if (entry) this.#entries.set(entry.key, entry);
    else if (before) this.#entries.delete(before.key);
    const place = entry?.place ?? before?.place;
    if (place) this.emit("change", place);
  }
}

/** The values of all items whose key begins so. @param {string} prefix @returns {string[]} */
function stored(prefix) {
  try {
    const keys = Object.keys(localStorage).filter((key) => key.startsWith(prefix));
    return keys.map((key) => localStorage.getItem(key) ?? "");
  } catch {
    return [];
  }
}

/** @param {string} text @returns {Entry | null} */
function parse(text) {
  try {
    const entry = JSON.parse(text);
    return typeof entry?.key === "string" && typeof entry?.place?.key === "string" ? entry : null;
  } catch {
    return null;
  }
}
