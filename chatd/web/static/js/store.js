// @ts-check
/**
 * What the page knows: the account, its conversations, and their messages as far as they were loaded.
 *
 * Events: `me`, `link` (LinkState), `conversations`, `messages` (the Place), `incoming` (a new Message from somebody
 * else), `removed` (from a group: its Place, and a sentence in English), `rooms` (a RoomTalk).
 */

import { Emitter } from "./emitter.js";
import { keyOf } from "./keys.js";
import { Marks } from "./marks.js";
import { Thread } from "./thread.js";

/** @import { Message, Attachment, Conversation, Place, Session, Account, User, Reply } from "./types.js" */

const PAGE = 50; // messages
const REFRESH_INTERVAL = 15_000; // ms
const SOON = 300;
const YOUNG = 10_000; // ms for which a new conversation may be missing in the realm's list

export class Store extends Emitter {
  /** @type {Session | null} */
  session = null;
  /** @type {Map<string, Conversation>} by the key of their place */
  conversations = new Map();
  /** Whether the list has been loaded once. */
  loaded = false;

  /** @type {Map<string, Thread>} */
  #threads = new Map();
  /** @type {Map<string, string>} display names by the keys of addresses */
  #names = new Map();
  /** @type {Map<string, number>} when a conversation appeared that the realm has not listed yet */
  #young = new Map();
  /** @type {Promise<void> | null} */
  #refreshing = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #soon;
  #connection;
  #marks;

  /** @param {import("./connection.js").Connection} connection */
  constructor(connection) {
    super();
    this.#connection = connection;
    this.#marks = new Marks(connection, (said) => this.#readElsewhere(said));
    connection.addEventListener("state", () => {
      this.emit("link", connection.state);
      if (connection.state === "open") void this.#caughtUp();
    });
    connection.addEventListener("message", (event) => this.#arrived(/** @type {CustomEvent} */ (event).detail));
    connection.addEventListener("room", (event) => this.emit("rooms", /** @type {CustomEvent} */ (event).detail));
    connection.addEventListener("member", (event) => this.#removed(/** @type {CustomEvent} */ (event).detail));
    setInterval(() => this.#visible() && void this.refresh(), REFRESH_INTERVAL);
    globalThis.document?.addEventListener("visibilitychange", () => this.#visible() && void this.refresh());
  }

  /** Takes the answer of `GET /session`. @param {Session} session */
  begin(session) {
    this.session = session;
    if (session.account) this.#learn(session.account.username, session.account.name);
    this.emit("me", this.me);
  }

  /** Forgets everything that belongs to an account. */
  end() {
    clearTimeout(this.#soon);
    if (this.session) this.session = { ...this.session, account: null };
    for (const each of [this.conversations, this.#threads, this.#names, this.#young, this.#marks]) each.clear();
    this.loaded = false;
    this.emit("me", null);
  }

  // People

  /** @returns {Account | null} */
  get me() {
    return this.session?.account ?? null;
  }

  get realm() {
    return this.session?.realm ?? "";
  }

  /** Whether an address is the user's own. @param {string} address */
  isMe(address) {
    return this.me !== null && keyOf(this.#local(address)) === keyOf(this.me.username);
  }

  /** The display name for an address if it is known, else the address. @param {string} address */
  displayName(address) {
    return this.#names.get(keyOf(this.#local(address))) ?? address;
  }

  /** What people call a group: its title if it is known, else its name. @param {Place} place */
  groupName(place) {
    return this.conversation(place)?.name ?? place.name;
  }

  /** Everybody in this realm. Remembers their display names. @returns {Promise<User[]>} */
  async users() {
    const { users } = await this.#connection.request("users");
    for (const user of users) this.#learn(user.username, user.name);
    return users;
  }

  /** The user has changed their own account. @param {Partial<Account>} change */
  changeMe(change) {
    if (!this.session || !this.me) return;
    this.begin({ ...this.session, account: { ...this.me, ...change } });
  }

  // Conversations

  /** @param {"u" | "g"} kind @param {string} name a name or `name@realm` @returns {Place} */
  place(kind, name) {
    const key = `${kind}/${keyOf(this.#local(name))}`;
    return this.conversations.get(key)?.place ?? { kind, name: this.#local(name), key };
  }

  /** The conversation of a message, as the user sees it. @param {Message} message @returns {Place} */
  placeOf(message) {
    if (message.group !== undefined) return this.place("g", message.group);
    return this.place("u", this.isMe(message.from) ? (message.to ?? "") : message.from);
  }

  /** @param {Place} place @returns {Conversation | undefined} */
  conversation(place) {
    return this.conversations.get(place.key);
  }

  /** The conversations, newest activity first. @returns {Conversation[]} */
  sorted() {
    const at = (/** @type {Conversation} */ each) => (each.last ? Date.parse(each.last.at) : 0);
    return [...this.conversations.values()].sort((one, other) => at(other) - at(one));
  }

  totalUnread() {
    let total = 0;
    for (const each of this.conversations.values()) total += each.unread;
    return total;
  }

  /** Loads the list of conversations. Ignores errors, because it is loaded again soon. */
  refresh() {
    this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  // Messages

  /** @param {Place} place @returns {readonly Message[]} sorted by seq, without duplicates */
  messages(place) {
    return this.#threads.get(place.key)?.list ?? [];
  }

  /** Whether there are older messages. @param {Place} place */
  hasOlder(place) {
    return this.#threads.get(place.key)?.hasOlder ?? true;
  }

  /** Loads the newest messages. Rejects with ChatError, LinkLost. @param {Place} place */
  async loadNewest(place, n = PAGE) {
    const [page, whole] = await this.#history(place, { n });
    this.#thread(place).takeNewest(page, whole);
    this.emit("messages", place);
  }

  /**
   * Loads a page of older messages. Resolves to whether there are more. Rejects with ChatError, LinkLost.
   * @param {Place} place
   * @returns {Promise<boolean>}
   */
  async loadOlder(place, n = PAGE) {
    const thread = this.#thread(place);
    const before = thread.list[0]?.seq;
    if (before === undefined) {
      await this.loadNewest(place, n);
    } else if (thread.hasOlder) {
      const [page, whole] = await this.#history(place, { n, before });
      thread.takeOlder(page, whole);
      this.emit("messages", place);
    }
    return this.hasOlder(place);
  }

  /**
   * Adds a message that the user has sent, from the reply to the send.
   * @param {Place} place
   * @param {Partial<Reply>} reply with `seq`, and `message_id` or `id`
   * @param {{text: string, key?: string} | {file: Attachment}} body
   */
  addSent(place, reply, body) {
    if (!reply.seq || !this.me) return;
    /** @type {Message} */
    const message = {
      conversation: reply.conversation,
      seq: reply.seq,
      id: reply.message_id ?? reply.id,
      from: this.me.username,
      [place.kind === "u" ? "to" : "group"]: place.name,
      at: new Date().toISOString(),
      ...body,
      state: reply.state,
    };
    this.#add(place, message);
  }

  /** Marks everything up to `seq` as read. @param {Place} place @param {number} seq */
  markRead(place, seq) {
    const found = this.conversations.get(place.key);
    if (!found || seq <= found.read) return;
    this.#moveMark(found, seq);
    this.#marks.tell({ read: place.key, seq, me: this.me?.username });
    if (found.conversation) this.#marks.send(found.conversation, seq);
  }

  // Loading and merging

  /**
   * A page of messages, and whether it reaches the beginning.
   * @param {Place} place
   * @param {{n: number, before?: number}} args `n` at most 500
   */
  async #history(place, args) {
    const at = { [place.kind === "u" ? "user" : "group"]: place.name };
    const { messages } = await this.#connection.request("history", { ...at, ...args });
    return /** @type {[Message[], boolean]} */ ([messages, messages.length < args.n || messages[0].seq === 1]);
  }

  /** Loads what was missed while the link was down. */
  async #caughtUp() {
    await this.refresh();
    this.#marks.sendAll();
  }

  async #refresh() {
    const account = this.me?.username;
    if (!account || this.#connection.state !== "open") return;
    try {
      const reply = await this.#connection.request("conversations");
      if (account !== this.me?.username) return;
      this.#takeList(reply.conversations, !reply.remaining);
      this.loaded = true;
      this.emit("conversations");
      await this.#fillGaps();
    } catch {
      // The link was lost; this runs again when it is back.
    }
  }

  /** @param {any[]} items @param {boolean} whole */
  #takeList(items, whole) {
    const before = this.conversations;
    this.conversations = new Map();
    for (const item of items) {
      const kind = item.group === undefined || item.group === null ? "u" : "g";
      const name = this.#local(kind === "g" ? item.group : item.user);
      const key = `${kind}/${keyOf(name)}`;
      if (kind === "u" && item.name) this.#learn(name, item.name);
      const known = before.get(key);
      /** @type {Conversation} */
      const found = { ...item, name: item.title || item.name || name, place: known?.place ?? { kind, name, key } };
      const mark = Math.max(this.#marks.of(found.conversation), known?.read ?? 0);
      if (known && known.seq > found.seq) Object.assign(found, { seq: known.seq, last: known.last, unread: known.unread });
      this.conversations.set(key, found);
      this.#young.delete(key);
      if (mark > found.read) this.#moveMark(found, mark, false);
    }
    for (const [key, known] of before) {
      if (this.conversations.has(key)) continue;
      if (!whole || performance.now() - (this.#young.get(key) ?? -Infinity) < YOUNG) this.conversations.set(key, known);
      else this.#threads.delete(key);
    }
  }

  /** Loads what open threads have missed, and the outcome of queued messages. */
  async #fillGaps() {
    for (const [key, thread] of this.#threads) {
      const found = this.conversations.get(key);
      if (!found || (thread.lastSeq >= found.seq && !thread.hasQueued)) continue;
      await this.loadNewest(found.place, Math.min(500, Math.max(PAGE, found.seq - thread.lastSeq)));
    }
  }

  /** @param {Message} message */
  #arrived(message) {
    const place = this.placeOf(message);
    this.#add(place, message);
    if (!this.isMe(message.from)) this.emit("incoming", message);
  }

  /** The user was removed from a group: drops all of it. @param {{group: string, message: string}} said */
  #removed({ group, message }) {
    const place = this.place("g", group);
    for (const each of [this.conversations, this.#threads, this.#young]) each.delete(place.key);
    this.emit("conversations");
    this.emit("messages", place);
    this.emit("removed", { place, message });
  }

  /** @param {Place} place @param {Message} message */
  #add(place, message) {
    const mine = this.isMe(message.from);
    let found = this.conversations.get(place.key);
    if (!found) {
      const name = place.kind === "u" ? this.displayName(place.name) : place.name;
      found = { place, conversation: message.conversation, name, unread: 0, read: 0, seq: 0, last: null };
      this.conversations.set(place.key, found);
      this.#young.set(place.key, performance.now());
      this.#refreshSoon();
    }
    const missed = found.seq > 0 && message.seq > found.seq + 1;
    found.conversation = message.conversation;
    if (message.seq > found.seq) {
      found.seq = message.seq;
      found.last = message;
      if (!mine && message.seq > found.read) found.unread += 1;
    }
    const thread = this.#threads.get(place.key);
    if (thread?.add(message)) this.emit("messages", place);
    if (missed) this.#refreshSoon();
    this.emit("conversations");
  }

  #refreshSoon() {
    clearTimeout(this.#soon);
    this.#soon = setTimeout(() => void this.refresh(), SOON);
  }

  /** @param {Place} place */
  #thread(place) {
    let thread = this.#threads.get(place.key);
    if (!thread) {
      thread = new Thread();
      this.#threads.set(place.key, thread);
    }
    return thread;
  }

  // Reading

  /** @param {Conversation} found @param {number} seq @param {boolean} [tell] */
  #moveMark(found, seq, tell = true) {
    found.read = seq;
    const thread = this.#threads.get(found.place.key);
    const left = thread?.list.filter((message) => message.seq > seq && !this.isMe(message.from)).length ?? 0;
    // At the end nothing is unread; before it, count the loaded messages below the mark.
    found.unread = seq >= found.seq ? 0 : Math.min(found.unread, left);
    if (tell) this.emit("conversations");
  }

  /** @param {{read?: string, seq?: number, me?: string}} said from another tab of this browser */
  #readElsewhere({ read, seq, me }) {
    const found = read && me === this.me?.username ? this.conversations.get(read) : undefined;
    if (found && seq && seq > found.read) this.#moveMark(found, seq);
  }

  // Helpers

  /** An address without the user's own realm. @param {string} address */
  #local(address) {
    const at = address.lastIndexOf("@");
    return at > 0 && keyOf(address.slice(at + 1)) === keyOf(this.realm) ? address.slice(0, at) : address;
  }

  /** @param {string} address @param {string} name */
  #learn(address, name) {
    this.#names.set(keyOf(address), name);
  }

  #visible() {
    return this.me !== null && !globalThis.document?.hidden;
  }
}
