// @ts-check
/**
 * The messages of conversations, as far as they were loaded, kept up to date by events.
 *
 * After the link was lost, the conversation on the page catches up by `sync`; others are loaded again when opened.
 * Events: `messages` and `typing` (the Place).
 */

import { Emitter } from "./emitter.js";
import { ChatError } from "./errors.js";
import { Loaded } from "./loaded.js";
import { Typing } from "./typing.js";

/** @import { Attachment, Change, ChangeKind, DeliveryState, Judgement, Message, Place, Reply } from "./types.js" */
/** @import { Page } from "./loaded.js" */

const PAGE = 60; // messages
const MAX_PAGE = 500; // entries that the realm gives at once
const MAX_ROUNDS = 4; // pages that are caught up before the newest page is loaded instead
const MAX_QUOTED = 50; // messages to look up for one page

/** @type {ChangeKind[]} */
const LINES = ["member", "group", "moved"]; // changes that have lines of their own
const KINDS = ["edited", "deleted", "reaction", "pinned", "member", "group", "moved"];

export class Log extends Emitter {
  /** @type {Place | null} the conversation on the page */
  shown = null;

  /** @type {Map<string, Loaded>} by the keys of places */
  #parts = new Map();
  #connection;
  #store;
  #typing;

  /** @param {import("./connection.js").Connection} connection @param {import("./store.js").Store} store */
  constructor(connection, store) {
    super();
    this.#connection = connection;
    this.#store = store;
    this.#typing = new Typing((key) => this.#tellKey("typing", key));
    connection.addEventListener("state", () => connection.state === "open" && void this.#linked());
    connection.on("message", (message) => this.#add(store.placeOf(message), message));
    for (const kind of KINDS) connection.on(kind, (change) => this.apply({ ...change, kind }));
    connection.on("state", (state) => this.#takeState(this.#partOf(state.conversation), state));
    connection.on("file", (file) => {
      if (this.#takeFile(this.#partOf(file.conversation), file)) this.#tellOf(file.conversation);
    });
    connection.on("read", ({ conversation, seq, who }) => this.#takeMark(this.#partOf(conversation), who, seq));
    connection.on("typing", ({ conversation, who }) => this.#types(conversation, who));
    store.on("me", () => store.me ?? this.forget());
    store.on("moved", (/** @type {{place: Place}} */ { place }) => this.#parts.delete(place.key));
    store.on("removed", (/** @type {{place: Place}} */ { place }) => this.#parts.delete(place.key));
  }

  /** What is loaded of a conversation. @param {Place} place @returns {Loaded} */
  part(place) {
    let part = this.#parts.get(place.key);
    if (!part) this.#parts.set(place.key, (part = new Loaded()));
    return part;
  }

  /** Forgets what is loaded. Conversations are loaded again when they are opened. */
  forget() {
    this.#parts.clear();
  }

  /**
   * Folds the messages of a person whom the user has blocked, in the group that is shown. Other conversations are
   * loaded again.
   * @param {Place} place
   * @param {string} user
   */
  fold(place, user) {
    const part = this.part(place);
    this.forget();
    this.#parts.set(place.key, part);
    part.list = part.list.map((each) => (each.group && each.from === user ? { ...each, blocked: true } : each));
    this.emit("messages", place);
  }

  /** @param {Place} place @returns {readonly Message[]} sorted by seq, without duplicates */
  messages(place) {
    return this.#parts.get(place.key)?.list ?? [];
  }

  /** The addresses of the people who are typing. @param {Place} place */
  typing(place) {
    return this.#typing.in(place.key);
  }

  // Loading. All reject with ChatError, LinkLost.

  /** Loads the newest messages, in place of what is loaded. @param {Place} place */
  async loadNewest(place, n = PAGE) {
    await this.#replace(place, { n: Math.min(n, MAX_PAGE) });
    void this.#learnStates(place);
  }

  /** Loads the messages around a seq, in place of what is loaded. @param {Place} place @param {number} seq */
  async loadAround(place, seq, n = PAGE) {
    await this.#replace(place, { n, around: seq });
    void this.#learnStates(place);
  }

  /** Loads the page before what is loaded. @param {Place} place */
  async loadOlder(place, n = PAGE) {
    const part = this.part(place);
    if (part.list.length === 0) return this.loadNewest(place, n);
    if (!part.hasOlder) return;
    const before = part.first;
    const page = await this.#history(place, { n, before });
    if (part.first !== before) return; // another page was loaded meanwhile
    part.addOlder(page);
    this.#loadedMore(place, part, page.messages);
  }

  /** Loads the page after what is loaded. @param {Place} place */
  async loadNewer(place, n = PAGE) {
    const part = this.part(place);
    const after = part.last;
    const page = await this.#history(place, { n, after });
    if (part.last !== after) return;
    part.addNewer(page);
    this.#loadedMore(place, part, page.messages);
  }

  // Changes

  /**
   * Adds a message that the user has sent, from the reply to the send.
   * @param {Place} place
   * @param {Partial<Reply>} reply with `seq`, and `message_id` or `id`
   * @param {{text: string, key?: string, reply?: number, forwarded?: string} | {file: Attachment, forwarded?: string}} body
   */
  addSent(place, reply, body) {
    if (!this.#store.me) return;
    /** @type {Message} */
    const message = {
      conversation: reply.conversation,
      seq: reply.seq ?? 0,
      id: reply.message_id ?? reply.id,
      from: this.#store.me.username,
      [place.kind === "u" ? "to" : "group"]: place.name,
      at: reply.at ?? new Date().toISOString(),
      state: reply.state ?? "stored",
      ...body,
    };
    if (message.seq > 0) {
      this.#store.take(place, message);
      this.#add(place, message);
    } else {
      const part = this.part(place);
      part.pending = [...part.pending.filter(({ id }) => id !== message.id), message];
      this.emit("messages", place);
    }
  }

  /** Applies a change, from an event or of the user's own. @param {Change} change */
  apply(change) {
    const key = this.#store.numbered(change.conversation)?.place.key;
    if (key !== undefined && this.#parts.get(key)?.apply(change)) this.#tellKey("messages", key);
  }

  /** The user has discarded a refused post that has no number. @param {Place} place @param {number} id */
  dropPending(place, id) {
    const part = this.part(place);
    part.pending = part.pending.filter((message) => message.id !== id);
    this.emit("messages", place);
  }

  /** Marks everything up to `seq` as read. @param {Place} place @param {number} seq */
  markRead(place, seq) {
    const found = this.#store.conversation(place);
    if (!found || seq <= found.read) return;
    const part = this.part(place);
    if (seq >= part.last && !part.hasNewer) return this.#store.markRead(place, seq);
    const passed = part.list.filter((each) => each.seq > found.read && each.seq <= seq && this.#counts(each));
    this.#store.markRead(place, seq, passed.length);
  }

  // Loading and merging

  /**
   * @param {Place} place
   * @param {{n: number, before?: number, after?: number, around?: number}} args
   * @returns {Promise<Page>}
   */
  async #history(place, args) {
    const at = { [place.kind === "u" ? "user" : "group"]: place.name };
    const reply = await this.#connection.request("history", { ...at, ...args });
    if (reply.pending) this.part(place).pending = reply.pending.map(unnumbered);
    return { messages: reply.messages, earlier: reply.earlier ?? reply.remaining ?? 0, later: reply.later ?? 0 };
  }

  /** @param {Place} place @param {{n: number, around?: number}} args */
  async #replace(place, args) {
    const page = await this.#history(place, args);
    const part = this.part(place);
    part.replace(page);
    this.#loadedMore(place, part, page.messages);
  }

  /** @param {Place} place @param {Loaded} part @param {Message[]} page */
  #loadedMore(place, part, page) {
    this.emit("messages", place);
    void this.#loadQuoted(place, part);
    if (place.kind === "g") void this.#loadLines(place, part, page);
  }

  /** Looks up the messages that loaded ones answer. @param {Place} place @param {Loaded} part */
  async #loadQuoted(place, part) {
    const wanted = part.unknownTargets().slice(-MAX_QUOTED);
    if (wanted.length === 0) return;
    for (const seq of wanted) part.quoted.set(seq, null); // so that they are asked for once
    const look = async (/** @type {number} */ seq) => {
      const { messages } = await this.#history(place, { n: 1, around: seq });
      part.quoted.set(seq, messages.find((message) => message.seq === seq) ?? null);
    };
    await Promise.all(wanted.map((seq) => look(seq).catch(() => part.quoted.delete(seq))));
    this.emit("messages", place);
  }

  /**
   * Loads the changes of membership among a page's messages. History has messages only; where their seqs have gaps,
   * there are other entries.
   * @param {Place} place
   * @param {Loaded} part
   * @param {Message[]} page
   */
  async #loadLines(place, part, page) {
    const seqs = page.map(({ seq }) => seq);
    if (part.first === seqs[0] && !part.hasOlder) seqs.unshift(0);
    const gaps = seqs.flatMap((seq, at) => (at > 0 && seq > seqs[at - 1] + 1 ? [seqs[at - 1], seq - 1] : []));
    if (gaps.length === 0) return;
    const [after, to] = [gaps[0], gaps[gaps.length - 1]];
    try {
      const { conversation } = page[0];
      const args = { conversation, after, n: Math.min(MAX_PAGE, to - after) };
      const { entries } = await this.#connection.request("sync", args);
      const lines = entries.filter((/** @type {Change} */ { kind }) => LINES.includes(kind));
      for (const line of lines) part.lines.set(line.seq, line);
      if (lines.length > 0) this.emit("messages", place);
    } catch {
      // The messages are there without these lines.
    }
  }

  /** Learns the state that no event tells, such as the other's read mark. @param {Place} place */
  async #learnStates(place) {
    const part = this.part(place);
    if (part.version === undefined) await this.#sync(place, part).catch(() => {});
  }

  // Catching up

  async #linked() {
    const { shown } = this;
    for (const key of this.#parts.keys()) if (key !== shown?.key) this.#parts.delete(key);
    const part = shown ? this.#parts.get(shown.key) : undefined;
    if (!shown || !part?.loaded) return;
    try {
      if (part.hasNewer) await this.loadAround(shown, part.list[part.list.length >> 1].seq);
      else await this.#catchUp(shown, part);
    } catch {
      // The link was lost again, or the realm refuses: the view says so when it is opened.
    }
  }

  /** @param {Place} place @param {Loaded} part */
  async #catchUp(place, part) {
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const done = await this.#sync(place, part).catch((error) => {
        if (error instanceof ChatError) return null;
        throw error;
      });
      if (done) return;
      if (done === null) break;
    }
    const fresh = new Loaded();
    this.#parts.set(place.key, fresh);
    await this.loadNewest(place);
  }

  /**
   * Takes the entries after the first gap in the known ones. Resolves to whether these were all; null: what is loaded is of no
   * use any more.
   * @param {Place} place
   * @param {Loaded} part
   */
  async #sync(place, part) {
    const conversation = this.#store.conversation(place)?.conversation;
    if (!conversation) return null;
    const { version } = part;
    const args = { conversation, after: part.seq, n: MAX_PAGE, ...(version === undefined ? {} : { version }) };
    const reply = await this.#connection.request("sync", args);
    if (typeof reply.reset === "number" && version !== undefined) return null;
    if (reply.missing && reply.missing.upto > part.seq) return null; // what is loaded would have a gap
    for (const entry of reply.entries) {
      const { kind, ...message } = entry;
      if (kind === "message") this.#add(place, message);
      else part.apply(entry);
      part.reach(entry.seq);
    }
    for (const state of reply.states ?? []) this.#takeState(part, state);
    for (const file of reply.files ?? []) this.#takeFile(part, file);
    for (const { who, seq } of reply.marks ?? []) this.#takeMark(part, who, seq);
    if (reply.pending) part.pending = reply.pending.map(unnumbered);
    part.version = reply.version;
    this.emit("messages", place);
    return reply.entries.length === 0 || part.seq >= reply.seq;
  }

  // Events

  /** @param {Place} place @param {Message} message */
  #add(place, message) {
    this.#typing.stop(place.key, message.from);
    const part = this.#parts.get(place.key);
    if (!part?.add(message)) return;
    if (message.reply !== undefined && part.find(message.reply) === undefined) void this.#loadQuoted(place, part);
    this.emit("messages", place);
  }

  /**
   * Takes the outcome of a delivery, or of the check of a signature. A pending post that was delivered has its seq now.
   * @param {Loaded | undefined} part
   * @param {Omit<Partial<Message>, "state"> & {conversation: number, state?: DeliveryState | Judgement}} outcome
   */
  #takeState(part, { conversation, seq, id, state, reason, code }) {
    if (!part) return;
    if (state === "verified" || state === "forged") {
      const content = state === "forged" ? { text: `(${reason})`, file: undefined, opaque: undefined } : {};
      const judged = { ...content, unverified: false };
      const known = part.update(seq, (message) => ({ ...message, ...judged }));
      if (part.judgeLine(seq, state === "verified") || known) this.#tellOf(conversation);
      return;
    }
    const outcome = { state, ...(reason ? { reason } : {}), ...(code ? { code } : {}) };
    const pending = part.pending.find((message) => message.id === id);
    if (pending && seq) part.add({ ...pending, ...outcome, seq });
    else if (pending) part.pending = part.pending.map((each) => (each === pending ? { ...each, ...outcome } : each));
    else if (!part.update(seq ?? undefined, (message) => ({ ...message, ...outcome }))) return;
    this.#tellOf(conversation);
  }

  /**
   * Takes the state of a message's file. Returns whether anything changes.
   * @param {Loaded | undefined} part
   * @param {{seq: number, state: Attachment["state"], reason?: string, code?: string}} found
   */
  #takeFile(part, { seq, state, reason, code }) {
    const change = (/** @type {Message} */ message) =>
      message.file ? { ...message, file: { ...message.file, state, reason, lost: code } } : message;
    return part?.update(seq, change) ?? false;
  }

  /** @param {Loaded | undefined} part @param {string} who @param {number} seq */
  #takeMark(part, who, seq) {
    if (!part || this.#store.isMe(who) || seq <= part.theirs) return;
    for (const [key, each] of this.#parts) {
      if (each !== part || !key.startsWith("u/")) continue;
      part.theirs = seq;
      this.#tellKey("messages", key);
    }
  }

  /** @param {number} conversation @param {string} who */
  #types(conversation, who) {
    const found = this.#store.numbered(conversation);
    if (found && !this.#store.isMe(who)) this.#typing.start(found.place.key, who);
  }

  /** @param {Message} message whether it counts as unread until it is read */
  #counts(message) {
    return !message.deleted && !this.#store.isMe(message.from);
  }

  /** @param {number} conversation */
  #partOf(conversation) {
    const found = this.#store.numbered(conversation);
    return found ? this.#parts.get(found.place.key) : undefined;
  }

  /** @param {number} conversation */
  #tellOf(conversation) {
    const found = this.#store.numbered(conversation);
    if (found) this.emit("messages", found.place);
  }

  /** @param {"messages" | "typing"} type @param {string} key */
  #tellKey(type, key) {
    const found = this.#store.conversations.get(key);
    if (found) this.emit(type, found.place);
  }
}

/** A pending post. It has no seq yet. @param {Message} message */
function unnumbered(message) {
  return { ...message, seq: 0 };
}
