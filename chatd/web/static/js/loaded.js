// @ts-check
/** The loaded part of one conversation's log: messages without gaps, sorted by seq, and what goes with them. */

import { changed } from "./changes.js";

/** @import { Message, Change } from "./types.js" */

/**
 * A page of history.
 * @typedef {{messages: Message[], earlier: number, later: number}} Page `earlier` and `later`: how many remain there
 */

const MAX_RECENT = 500; // changes that are kept for pages that are on their way

export class Loaded {
  /** @type {Message[]} */
  list = [];
  /** @type {Map<number, Change>} the lines of membership and group changes, by seq */
  lines = new Map();
  /** @type {Message[]} own posts that their group's realm has not numbered */
  pending = [];
  /** @type {Map<number, Message | null>} messages that others answer and that are not loaded; null: there is none */
  quoted = new Map();
  hasOlder = true;
  /** Whether there are newer messages than the loaded ones. */
  hasNewer = false;
  /** Whether a page has been loaded. Until then nothing is added. */
  loaded = false;
  /** The seq up to which all entries are known. `sync` continues there. */
  seq = 0;
  /** What `sync` needs for the changes of states and marks. */
  /** @type {number | undefined} */
  version;
  /** In a direct conversation: the seq up to which the other has read. */
  theirs = 0;

  /** @type {Change[]} the latest changes, which a page that was read before may lack */
  #recent = [];
  /** @type {Set<number>} the seqs of known entries after a gap: a reply may come before the event of an earlier one */
  #beyond = new Set();

  get first() {
    return this.list[0]?.seq ?? 0;
  }

  get last() {
    return this.list.at(-1)?.seq ?? 0;
  }

  /** Takes a page in place of what is loaded. @param {Page} page */
  replace({ messages, earlier, later }) {
    // Messages that have arrived since the realm answered.
    const newest = messages.at(-1)?.seq ?? 0;
    const arrived = this.loaded && !this.hasNewer && later === 0 ? this.list.filter(({ seq }) => seq > newest) : [];
    const keys = new Map(this.list.map(({ seq, key }) => [seq, key]));
    this.list = [...messages.map((message) => withKey(this.#updated(message), keys.get(message.seq))), ...arrived];
    this.hasOlder = earlier > 0;
    this.hasNewer = later > 0;
    this.loaded = true;
    this.reach(newest);
  }

  /** Takes the page before what is loaded. @param {Page} page */
  addOlder({ messages, earlier }) {
    const first = this.first || Infinity;
    this.list = [...messages.filter(({ seq }) => seq < first).map((each) => this.#updated(each)), ...this.list];
    this.hasOlder = earlier > 0 && messages.length > 0;
  }

  /** Takes the page after what is loaded. @param {Page} page */
  addNewer({ messages, later }) {
    const { last } = this;
    this.list = [...this.list, ...messages.filter(({ seq }) => seq > last).map((each) => this.#updated(each))];
    this.hasNewer = later > 0 && messages.length > 0;
    this.reach(this.last);
  }

  /** All entries up to `seq` are known. @param {number} seq */
  reach(seq) {
    this.seq = Math.max(this.seq, seq);
    for (const each of this.#beyond) if (each <= this.seq) this.#beyond.delete(each);
    this.#closeGaps();
  }

  /** One entry is known. @param {number} seq */
  #know(seq) {
    if (!this.loaded || seq <= this.seq) return;
    this.#beyond.add(seq);
    if (this.#beyond.size > MAX_RECENT) this.seq = Math.min(...this.#beyond) - 1; // what is missing never came
    this.#closeGaps();
  }

  #closeGaps() {
    while (this.#beyond.delete(this.seq + 1)) this.seq += 1;
  }

  /** Adds a new message, or replaces a known one. Returns whether anything changes. @param {Message} message */
  add(message) {
    if (!this.loaded) return false;
    this.pending = this.pending.filter(({ id }) => id !== message.id);
    this.#know(message.seq);
    const at = this.list.findIndex(({ seq }) => seq === message.seq);
    if (at >= 0) this.list = this.list.with(at, withKey(message, this.list[at].key));
    else if (this.hasNewer) return false;
    else this.list = [...this.list, message].sort((one, other) => one.seq - other.seq);
    return true;
  }

  /** Applies a change. Returns whether anything changes. @param {Change} change */
  apply(change) {
    this.#know(change.seq || 0);
    if (change.kind === "member" || change.kind === "group" || change.kind === "moved") {
      if (!change.seq || !this.loaded || this.hasNewer) return false;
      this.lines.set(change.seq, change);
      return true;
    }
    this.#recent = [...this.#recent, change].slice(-MAX_RECENT);
    const quoted = this.quoted.get(Number(change.target));
    if (quoted) this.quoted.set(quoted.seq, changed(quoted, change));
    return this.update(change.target, (message) => changed(message, change)) || Boolean(quoted);
  }

  /**
   * Replaces one message. Returns whether it is loaded and changes.
   * @param {number | undefined} seq
   * @param {(message: Message) => Message} how
   */
  update(seq, how) {
    const at = this.list.findIndex((message) => message.seq === seq);
    const after = at < 0 ? undefined : how(this.list[at]);
    if (after === undefined || after === this.list[at]) return false;
    this.list = this.list.with(at, after);
    return true;
  }

  /**
   * Notes whether the realm of its author has signed a change of the group. Returns whether that changes anything.
   * @param {number | undefined} seq
   * @param {boolean} verified
   */
  judgeLine(seq, verified) {
    const line = this.lines.get(Number(seq));
    if (line === undefined || Boolean(line.unverified) !== verified) return false;
    this.lines.set(line.seq, { ...line, unverified: !verified });
    return true;
  }

  /** A message that is loaded or quoted. @param {number} seq @returns {Message | null | undefined} */
  find(seq) {
    return this.list.find((message) => message.seq === seq) ?? this.quoted.get(seq);
  }

  /** The seqs of messages that loaded ones answer and that are unknown. */
  unknownTargets() {
    const wanted = this.list.map(({ reply }) => reply).filter((seq) => seq !== undefined);
    return [...new Set(wanted)].filter((seq) => this.find(seq) === undefined);
  }

  /** The lines among the loaded messages; those before the first one only if that is where the log begins. */
  shownLines() {
    const from = this.hasOlder ? this.first : 0;
    const to = this.hasNewer ? this.last : Infinity;
    return [...this.lines.values()].filter(({ seq }) => seq >= from && seq <= to);
  }

  /** A message from a page, with the changes that have arrived since. @param {Message} message */
  #updated(message) {
    return this.#recent.filter(({ target }) => target === message.seq).reduce(changed, message);
  }
}

/** @param {Message} message @param {string | undefined} key */
function withKey(message, key) {
  return key && !message.key ? { ...message, key } : message;
}
