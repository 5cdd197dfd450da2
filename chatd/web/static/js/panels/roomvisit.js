// @ts-check
/**
 * A visit to a room: entering, listening, talking, leaving. Nothing of it is kept.
 *
 * A session is in one room at a time and hears it on the connection that entered last. If another window of the same
 * session enters a room, this one is told that the user has left. The realm does not tell who comes and goes in a
 * crowded room, so there this asks now and then.
 */

import { ChatError } from "../errors.js";
import { keyOf } from "../keys.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {'joining' | 'in' | 'lost' | 'elsewhere' | 'failed'} State */
/**
 * @typedef {{kind: 'said', from: string, name: string, text: string, at: number, mine: boolean,
 *     file?: {name: string, code: string}}
 *   | {kind: 'came' | 'went', from: string, at: number}
 *   | {kind: 'back', at: number}} Line
 */

const CROWD = 200; // people; in a larger room the realm does not tell who comes and goes
const LOOK_INTERVAL = 15_000; // ms
const MAX_LINES = 500; // older ones are dropped

/** @type {RoomVisit | null} the visit of this page that the session is in */
let current = null;

/** Emits 'state', 'people', 'line' (detail: Line). */
export class RoomVisit extends EventTarget {
  #gone = false;
  #met = false;
  #tries = 0;
  #onLink = () => this.#linked();
  /** @type {(() => void)[]} */
  #offs;
  #timer = setInterval(() => this.people.length > CROWD && void this.#look(), LOOK_INTERVAL);

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
    this.#offs = [
      app.connection.on("room", (talk) => this.#heard(talk)),
      app.connection.on("room-change", (change) => this.#changed(change)),
    ];
  }

  /** Enters the room; `state` tells the outcome. */
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
   * Says something in the room.
   * @param {string} text
   * @returns {Promise<void>} rejects if it was not sent
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

  /** Leaves the room, unless another view has entered one since. */
  destroy() {
    this.#gone = true;
    clearInterval(this.#timer);
    this.app.connection.removeEventListener("state", this.#onLink);
    for (const off of this.#offs) off();
    if (current !== this) return;
    current = null;
    if (this.state !== "in" && this.state !== "joining") return;
    // Ignore errors: without a connection the session is in no room.
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

  /** @param {import("../types.js").RoomTalk} talk */
  #heard(talk) {
    if (keyOf(talk.room) !== keyOf(this.room)) return;
    const { from, name, text, file } = talk;
    if (!this.people.includes(from)) this.#seen([...this.people, from], true);
    this.#add({ kind: "said", from, name, text, at: Date.parse(talk.at) || Date.now(), mine: false, file });
  }

  /** @param {{room: string, who: string, what: string}} change */
  #changed({ room, who, what }) {
    if (this.state !== "in" || keyOf(room) !== keyOf(this.room)) return;
    const others = this.people.filter((each) => keyOf(each) !== keyOf(who));
    const gone = what === "left";
    if (gone && this.app.store.isMe(who)) this.#become("elsewhere");
    this.#seen(gone ? others : [...others, who], true);
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
      // The bar shows a lost link, and the next poll follows.
    }
  }

  /**
   * @param {string[]} users who is in it now
   * @param {boolean} tell whether to add lines for who came and went
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
    if (this.lines.length > MAX_LINES) this.lines.shift();
    this.dispatchEvent(new CustomEvent("line", { detail: line }));
  }
}
