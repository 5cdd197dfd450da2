// @ts-check
/**
 * The WebSocket to the realm: one JSON object a frame, in both directions. Replies are matched to requests by id.
 *
 * It reconnects by itself. After each connection it asks which account it speaks for, because the cookie may
 * belong to another session by then. Only after that it counts as open.
 */

import { ChatError, LinkLost } from "./errors.js";
import { keyOf } from "./keys.js";

/** @import { Reply } from "./types.js" */
/** @typedef {"connecting" | "open" | "waiting" | "closed"} LinkState */
/** @typedef {{resolve: (reply: Reply) => void, reject: (error: Error) => void}} Waiting */

const FIRST_PAUSE = 500; // ms before the second try; each further one takes up to twice as long
const MAX_PAUSE = 15_000;
const PING_EACH = 25_000;
const TIMEOUT = 10_000; // ms for a pong, and for a request to find the link open
const NO_SESSION = 4401;

/**
 * Events: `state` (detail: LinkState); `ended` (the reason, in English or empty), after which it does not reconnect
 * until `open()`; and each event of the realm under its own name after `realm:`, such as `realm:message`.
 */
export class Connection extends EventTarget {
  /** @type {WebSocket | null} */
  #socket = null;
  /** @type {LinkState} */
  #state = "closed";
  /** @type {Map<number, Waiting>} */
  #waiting = new Map();
  #lastId = 0;
  #tries = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #retry;
  /** @type {ReturnType<typeof setInterval> | undefined} */
  #pings;
  #username = "";

  constructor() {
    super();
    globalThis.addEventListener?.("online", () => this.reconnect());
    globalThis.addEventListener?.("offline", () => void this.check());
    globalThis.document?.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.reconnect();
    });
  }

  get state() {
    return this.#state;
  }

  /**
   * Connects, and stays connected until `close()`.
   * @param {string} username the account that the session is expected to belong to
   */
  open(username) {
    this.close();
    this.#username = username;
    this.#tries = 0;
    this.#connect();
  }

  close() {
    this.#drop();
    this.#setState("closed");
  }

  /**
   * Calls `listener` at each event of that name from the realm.
   * @param {string} name
   * @param {(found: any) => void} listener
   * @returns {() => void} ends that
   */
  on(name, listener) {
    const hear = (/** @type {Event} */ event) => listener(/** @type {CustomEvent} */ (event).detail);
    this.addEventListener(`realm:${name}`, hear);
    return () => this.removeEventListener(`realm:${name}`, hear);
  }

  /** Ends a pause between two attempts; if there is a link, checks whether it still answers. */
  reconnect() {
    if (this.#state === "waiting") {
      this.#tries = 0;
      this.#connect();
    } else {
      void this.check();
    }
  }

  /**
   * Sends a command. Waits a while for the link if it is down. Rejects with ChatError if the realm refuses, with
   * LinkLost if the link stays down or is lost before the reply.
   * @param {string} command
   * @param {Record<string, unknown>} [args]
   * @returns {Promise<Reply>}
   */
  async request(command, args = {}) {
    if (this.#state !== "open") await this.#opened();
    return this.#ask(command, args);
  }

  /** Drops a link that no longer answers, so that a new one is made. */
  async check() {
    const socket = this.#socket;
    if (this.#state !== "open" || !socket) return;
    const timer = setTimeout(() => {
      if (socket === this.#socket) this.#lost();
    }, TIMEOUT);
    await this.#ask("ping", {}).catch(() => {});
    clearTimeout(timer);
  }

  // The link itself

  #connect() {
    this.#drop();
    this.#setState("connecting");
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/ws`);
    this.#socket = socket;
    this.#retry = setTimeout(() => socket === this.#socket && this.#lost(), 2 * TIMEOUT);
    socket.onopen = () => void this.#begin(socket);
    socket.onmessage = (event) => {
      if (socket === this.#socket) this.#take(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      if (socket !== this.#socket) return;
      if (event.code === NO_SESSION) this.#end("");
      else this.#lost();
    };
  }

  /** @param {WebSocket} socket */
  async #begin(socket) {
    try {
      const listening = this.#ask("listen", { on: true, all: true });
      const [, who] = await Promise.all([listening, this.#ask("whoami", {})]);
      if (socket !== this.#socket) return;
      if (keyOf(who.username) !== keyOf(this.#username)) return this.#end("");
    } catch (error) {
      if (socket !== this.#socket) return;
      if (error instanceof ChatError && error.code === "not-logged-in") this.#end("");
      else this.#lost();
      return;
    }
    clearTimeout(this.#retry);
    this.#tries = 0;
    this.#pings = setInterval(() => void this.check(), PING_EACH);
    this.#setState("open");
  }

  /** Drops the socket and rejects all requests that wait for it. */
  #drop() {
    clearTimeout(this.#retry);
    clearInterval(this.#pings);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const each of waiting) each.reject(new LinkLost());
  }

  #lost() {
    this.#drop();
    const pause = Math.min(MAX_PAUSE, FIRST_PAUSE * 2 ** this.#tries) * (0.5 + Math.random() / 2);
    this.#tries += 1;
    this.#retry = setTimeout(() => this.#connect(), pause);
    this.#setState("waiting");
  }

  /** @param {string} reason */
  #end(reason) {
    this.close();
    this.#emit("ended", reason);
  }

  /** @param {LinkState} state */
  #setState(state) {
    if (state === this.#state) return;
    this.#state = state;
    this.#emit("state", state);
  }

  /** @returns {Promise<void>} */
  #opened() {
    return new Promise((resolve, reject) => {
      const done = () => {
        if (this.#state !== "open" && this.#state !== "closed") return;
        clearTimeout(timer);
        this.removeEventListener("state", done);
        if (this.#state === "open") resolve();
        else reject(new LinkLost());
      };
      const timer = setTimeout(() => {
        this.removeEventListener("state", done);
        reject(new LinkLost());
      }, TIMEOUT);
      this.addEventListener("state", done);
      done();
    });
  }

  // Frames

  /** @param {string} command @param {Record<string, unknown>} args @returns {Promise<Reply>} */
  #ask(command, args) {
    const socket = this.#socket;
    if (socket?.readyState !== WebSocket.OPEN) return Promise.reject(new LinkLost());
    this.#lastId += 1;
    const id = this.#lastId;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      socket.send(JSON.stringify({ id, command, ...args }));
    });
  }

  /** @param {Record<string, any>} found */
  #take(found) {
    const { event, ...rest } = found;
    if (event === undefined) {
      const waiting = this.#waiting.get(found.id);
      this.#waiting.delete(found.id);
      if (found.status === "OK") waiting?.resolve(/** @type {any} */ (found));
      else waiting?.reject(new ChatError(String(found.code), String(found.message)));
    } else if (event === "session-ended") {
      this.#end(String(found.message ?? ""));
    } else {
      this.#emit(`realm:${event}`, rest);
    }
  }

  /** @param {string} type @param {unknown} detail */
  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
