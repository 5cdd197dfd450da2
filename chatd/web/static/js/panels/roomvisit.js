// @ts-check
/**
 * Being in a room: going in, hearing, talking, and going out again. Nothing of it is kept, here neither.
 *
 * Who is in a room is not pushed, so it is asked for every few seconds. The session is in one room at a
 * time and hears it on the connection on which it went in last; if another window of the same login takes
 * that over, this one finds itself missing from the list of people.
 */

import { ChatError } from "../errors.js";
import { keyOf } from "../keys.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {'joining' | 'in' | 'lost' | 'elsewhere' | 'failed'} State */
/**
 * @typedef {{kind: 'said', from: string, name: string, text: string, at: number, mine: boolean}
 *   | {kind: 'came' | 'went', from: string, at: number}
 *   | {kind: 'back', at: number}} Line
 */

const LOOK_EVERY = 5000; // ms
const MOST_LINES = 500; // older ones go

/** @type {RoomVisit | null} the visit that the session's place in a room belongs to */
let current = null;

/** Emits 'state', 'people', 'line' (detail: Line). */
export class RoomVisit extends EventTarget {
  #gone = false;
  #met = false;
  #tries = 0;
  #onLink = () => this.#linked();
  #onTalk = (/** @type {Event} */ event) => this.#heard(/** @type {CustomEvent} */ (event).detail);
  #timer = setInterval(() => void this.#look(), LOOK_EVERY);

  /**
   * @param {App} app
   * @param {string} room
   */
  constructor(app, room) {
    super();
    this.app = app;
    this.room = room;
    /** @type {State} */
    this.state = "joining";
    /** @type {unknown} */
    this.error = null;
    /** @type {string[]} usernames */
    this.people = [];
    /** @type {Line[]} */
    this.lines = [];
    app.connection.addEventListener("state", this.#onLink);
    app.connection.addEventListener("room", this.#onTalk);
  }

  /** Goes in; `state` says what became of it. */
  async enter() {
    current = this;
    const again = this.#met;
    const turn = ++this.#tries;
    this.#become("joining");
    try {
      const reply = await this.app.connection.request("roomjoin", { room: this.room });
      if (this.#gone || turn !== this.#tries || current !== this) return;
      this.room = String(reply.room);
      this.#met = true;
      if (again) this.#add({ kind: "back", at: Date.now() });
      this.#become("in");
      this.#seen(/** @type {string[]} */ (reply.users), again);
    } catch (error) {
      if (this.#gone || turn !== this.#tries) return;
      this.error = error;
      this.#become(error instanceof ChatError ? "failed" : "lost");
    }
  }

  /**
   * Says something to the others.
   * @param {string} text
   * @returns {Promise<void>} rejects if it was not said
   */
  async say(text) {
    try {
      await this.app.connection.request("roomchat", { text });
    } catch (error) {
      if (error instanceof ChatError && error.code === "not-in-room") this.#become("elsewhere");
      throw error;
    }
    const { username, name } = this.app.store.me ?? { username: "", name: "" };
    this.#add({ kind: "said", from: username, name, text, at: Date.now(), mine: true });
  }

  /** Goes out, unless another view has gone in somewhere meanwhile. */
  destroy() {
    this.#gone = true;
    clearInterval(this.#timer);
    this.app.connection.removeEventListener("state", this.#onLink);
    this.app.connection.removeEventListener("room", this.#onTalk);
    if (current !== this) return;
    current = null;
    if (this.state !== "in" && this.state !== "joining") return;
    // Whatever comes of it: without a connection nobody is in a room.
    this.app.connection.request("roomleave", {}).catch(() => {});
  }

  /** @param {State} state */
  #become(state) {
    if (this.state === state || this.#gone) return;
    this.state = state;
    this.dispatchEvent(new Event("state"));
  }

  #linked() {
    const open = this.app.connection.state === "open";
    if (open && this.state === "lost") this.enter();
    else if (!open && this.state !== "failed" && this.state !== "elsewhere") this.#become("lost");
  }

  /** @param {{room: string, from: string, name: string, text: string, at: string}} talk */
  #heard(talk) {
    if (keyOf(talk.room) !== keyOf(this.room)) return;
    const { from, name, text } = talk;
    if (!this.people.includes(from)) this.#seen([...this.people, from], true);
    this.#add({ kind: "said", from, name, text, at: Date.parse(talk.at) || Date.now(), mine: false });
  }

  async #look() {
    if (this.state !== "in" || document.hidden) return;
    try {
      const reply = await this.app.connection.request("rooms", {});
      if (this.#gone || this.state !== "in") return;
      const rooms = /** @type {{room: string, users: string[]}[]} */ (reply.rooms);
      const users = rooms.find((each) => keyOf(each.room) === keyOf(this.room))?.users ?? [];
      const me = keyOf(this.app.store.me?.username ?? "");
      if (!users.some((user) => keyOf(user) === me)) this.#become("elsewhere");
      this.#seen(users, true);
    } catch {
      // The link tells of itself, and the next look follows.
    }
  }

  /**
   * @param {string[]} users who is in it now
   * @param {boolean} tell whether to say who came and went since
   */
  #seen(users, tell) {
    const before = new Set(this.people);
    const now = new Set(users);
    if (before.size === now.size && users.every((user) => before.has(user))) return;
    this.people = [...users].sort((a, b) => a.localeCompare(b));
    const me = keyOf(this.app.store.me?.username ?? "");
    const at = Date.now();
    for (const from of tell ? users : [])
      if (!before.has(from) && keyOf(from) !== me) this.#add({ kind: "came", from, at });
    for (const from of tell ? before : [])
      if (!now.has(from) && keyOf(from) !== me) this.#add({ kind: "went", from, at });
    if (!this.#gone) this.dispatchEvent(new Event("people"));
  }

  /** @param {Line} line */
  #add(line) {
    if (this.#gone) return;
    this.lines.push(line);
    if (this.lines.length > MOST_LINES) this.lines.shift();
    this.dispatchEvent(new CustomEvent("line", { detail: line }));
  }
}
