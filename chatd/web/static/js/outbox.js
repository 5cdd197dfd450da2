// @ts-check
/**
 * Texts that wait to be sent. Each has an idempotency key. The realm stores a key once, however often it arrives,
 * so an unanswered text is simply sent again.
 *
 * Entries are in localStorage, one item each, until they are answered, so they survive a reload, a crash and the
 * end of the session. Those of one conversation are sent one after another.
 */

import { Emitter } from "./emitter.js";
import { ChatError } from "./errors.js";
import { keyOf } from "./keys.js";
import { newKey } from "./sendkeys.js";

/** @import { Entry, Place } from "./types.js" */

const PREFIX = "chatd.federation.outbox.";
const PASSING = new Set(["storage-failed", "disk-full", "shutting-down", "too-many-connections", "not-logged-in"]);
const LATER = 5000; // ms until the realm is asked again after one of those, on average

/** Emits `change` (detail: the Place) when its entries change. */
export class Outbox extends Emitter {
  /** @type {Map<string, Entry>} by key, oldest first */
  #entries = new Map();
  /** @type {Set<string>} keys of places with a request under way */
  #busy = new Set();
  #account = "";
  #connection;
  #log;

  /** @param {import("./connection.js").Connection} connection @param {import("./log.js").Log} log */
  constructor(connection, log) {
    super();
    this.#connection = connection;
    this.#log = log;
    connection.addEventListener("state", () => this.#flush());
    globalThis.addEventListener?.("storage", (event) => this.#changedElsewhere(event));
  }

  /** Loads the unsent texts of an account. @param {string} username */
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

  /** Forgets all unsent texts, after a confirmed logout. */
  clear() {
    for (const entry of [...this.#entries.values()]) this.discard(entry.key);
  }

  /**
   * The entries of a place, or all of them, oldest first.
   * @param {Place} [place]
   * @returns {Entry[]}
   */
  entries(place) {
    const all = [...this.#entries.values()];
    return place ? all.filter((entry) => entry.place.key === place.key) : all;
  }

  /**
   * Queues a text and starts sending.
   * @param {Place} place
   * @param {string} text
   * @param {number} [reply] the seq of the message that it answers
   * @returns {Entry}
   */
  send(place, text, reply) {
    /** @type {Entry} */
    const entry = { key: newKey(), place, text, state: "sending", at: Date.now(), ...(reply ? { reply } : {}) };
    this.#entries.set(entry.key, entry);
    this.#changed(entry);
    void this.#pump(place);
    return entry;
  }

  /** Sends a refused text again, after all others for its place. @param {string} key */
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

  /** Discards an entry. If it was already sent, it may still arrive. @param {string} key */
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

  /** Sends what waits for a place, one after another, while the link is up. @param {Place} place */
  async #pump(place) {
    if (this.#busy.has(place.key)) return;
    this.#busy.add(place.key);
    try {
      let entry;
      while (this.#connection.state === "open" && (entry = this.#next(place))) await this.#try(entry);
    } catch {
      // The link was lost, or the realm can't at the moment: `#flush` continues later.
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
    const { place, text, key, reply: target } = entry;
    const body = { text, key, ...(target ? { reply: target } : {}) };
    let reply;
    try {
      reply =
        place.kind === "u"
          ? await this.#connection.request("send", { to: place.name, ...body })
          : await this.#connection.request("sendgroup", { group: place.name, ...body });
    } catch (error) {
      if (account !== this.#account) throw error;
      if (!(error instanceof ChatError)) throw error;
      if (PASSING.has(error.code)) {
        setTimeout(() => this.#flush(), LATER * (0.5 + Math.random()));
        throw error;
      }
      entry.state = "refused";
      entry.error = { code: error.code, message: error.message };
      this.#changed(entry);
      return;
    }
    if (account !== this.#account) return;
    // Add the message before removing the entry, so that a redraw in between shows one of the two.
    if (reply.conversation) this.#log.addSent(place, reply, body);
    this.#remove(entry);
  }

  // Storage

  get #prefix() {
    return `${PREFIX}${this.#account}.`;
  }

  /** @param {Entry} entry */
  #changed(entry) {
    try {
      localStorage.setItem(this.#prefix + entry.key, JSON.stringify(entry));
    } catch {
      // Storage is full or forbidden: the entry lasts until the page is closed.
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

  /** Another tab of this account has changed an entry. @param {StorageEvent} event */
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

/** The values of all items with that prefix. @param {string} prefix @returns {string[]} */
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
