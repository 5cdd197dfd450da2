// @ts-check
/**
 * The uploads of all conversations: one at a time in each, in the order they were chosen. They continue while
 * another conversation is shown, and are lost when the page is closed, so it asks before that.
 */

import { ChatError } from "../errors.js";
import { newKey } from "../sendkeys.js";
import { upload } from "../upload.js";

/** @typedef {import("../types.js").Place} Place */
/** @typedef {import("../types.js").App} App */

/**
 * @typedef {{
 *   key: string, place: Place, file: File, at: number, sent: number,
 *   state: "waiting" | "sending" | "refused",
 *   broken: boolean, error?: {code: string, message: string}, abort?: AbortController,
 * }} Upload `at` is ms since 1970, `sent` bytes; `broken`: the connection is lost, and it is tried again.
 */

/** @typedef {(upload: Upload, whole: boolean) => void} Listener `whole`: the list or a state has changed, and not just the progress */

export class Uploads {
  #app;
  /** @type {Upload[]} */
  #list = [];
  /** @type {Set<Listener>} */
  #listeners = new Set();

  /** @param {App} app */
  constructor(app) {
    this.#app = app;
    addEventListener("beforeunload", (event) => {
      if (this.#list.some((each) => each.state !== "refused")) event.preventDefault();
    });
  }

  /**
   * @param {Place} place
   * @returns {readonly Upload[]}
   */
  of(place) {
    return this.#list.filter((each) => each.place.key === place.key);
  }

  /**
   * @param {Listener} listener
   * @returns {() => void} ends it
   */
  on(listener) {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * @param {Place} place
   * @param {readonly File[]} files
   */
  add(place, files) {
    for (const file of files) {
      /** @type {Upload} */
      const item = { key: newKey(), place, file, at: Date.now(), sent: 0, state: "waiting", broken: false };
      this.#list.push(item);
      this.#tell(item, true);
    }
    this.#next(place);
  }

  /**
   * Cancels an upload, or removes a refused one.
   * @param {Upload} item
   */
  discard(item) {
    this.#list = this.#list.filter((each) => each !== item);
    item.abort?.abort();
    this.#tell(item, true);
    this.#next(item.place);
  }

  /**
   * Tries a refused file again under a new key, because the realm has answered the old one.
   * @param {Upload} item
   */
  retry(item) {
    Object.assign(item, { key: newKey(), state: "waiting", error: undefined, sent: 0, at: Date.now() });
    this.#list = [...this.#list.filter((each) => each !== item), item];
    this.#tell(item, true);
    this.#next(item.place);
  }

  /**
   * @param {Place} place
   */
  #next(place) {
    const mine = this.of(place);
    const next = mine.find((each) => each.state === "waiting");
    if (next !== undefined && !mine.some((each) => each.state === "sending")) void this.#send(next);
  }

  /**
   * @param {Upload} item
   */
  async #send(item) {
    item.state = "sending";
    item.abort = new AbortController();
    this.#tell(item, true);
    try {
      const limit = this.#app.store.session?.limits.file ?? Infinity;
      if (item.file.size > limit) throw new ChatError("file-too-large", tooLarge(item.file.size, limit));
      const reply = await upload(item.place, item.file, {
        key: item.key,
        signal: item.abort.signal,
        link: this.#app.connection,
        onProgress: (sent) => {
          item.sent = sent;
          this.#tell(item, false);
        },
        onPause: (pausing) => {
          item.broken = pausing;
          this.#tell(item, false);
        },
      });
      const { name, size, sha256, mime, code, width, height, thumbnail } = reply;
      this.#list = this.#list.filter((each) => each !== item);
      this.#app.log.addSent(item.place, /** @type {any} */ (reply), {
        file: { name, size, sha256, mime, code, width, height, thumbnail },
      });
    } catch (error) {
      if (!this.#list.includes(item)) return; // discarded
      item.state = "refused";
      const { code = "internal", message = String(error) } = /** @type {any} */ (error);
      item.error = { code, message };
    }
    this.#tell(item, true);
    this.#next(item.place);
  }

  /**
   * @param {Upload} item
   * @param {boolean} whole
   */
  #tell(item, whole) {
    for (const listener of this.#listeners) listener(item, whole);
  }
}

/** @type {WeakMap<App, Uploads>} */
const all = new WeakMap();

/**
 * The page's uploads.
 * @param {App} app
 */
export function uploadsOf(app) {
  let found = all.get(app);
  if (found === undefined) all.set(app, (found = new Uploads(app)));
  return found;
}

/**
 * The realm's sentence for a file that is too large, without asking it.
 * @param {number} size bytes
 * @param {number} limit bytes
 */
function tooLarge(size, limit) {
  return `The file has ${size} bytes and ${limit} are allowed; send a smaller one`;
}
