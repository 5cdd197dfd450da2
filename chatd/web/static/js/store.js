// @ts-check
/**
 * What the page knows: the account, the people, and the list of conversations. Their messages are in log.js.
 *
 * Events: `me`, `link` (LinkState), `conversations`, `incoming` (a new Message from somebody else), `removed` (from a
 * group: its Place, a code, and a sentence in English). What is loaded later tells of itself here: `outbox` when it is
 * there, `invitations` when they have changed.
 */

import { Emitter } from "./emitter.js";
import { isImported, keyOf, shownName } from "./keys.js";

/** @import { Message, Change, ChangeKind, Conversation, Place, Session, Account, User } from "./types.js" */

const REDRAW = 60_000; // ms: today becomes yesterday
const SOON = 300;
const YOUNG = 10_000; // ms for which a new conversation may be missing in the realm's list

export class Store extends Emitter {
  /** @type {Session | null} */
  session = null;
  /** @type {Map<string, Conversation>} by the key of their place */
  conversations = new Map();
  /** Whether the list has been loaded once. */
  loaded = false;

  /** @type {Map<string, string>} display names by the keys of addresses */
  #names = new Map();
  /** @type {Map<string, string>} what people say of themselves, by the keys of addresses */
  #statuses = new Map();
  /** @type {Map<string, string>} the paths of pictures by the keys of places */
  #pictures = new Map();
  /** @type {Map<string, number>} when a conversation appeared that the realm has not listed yet */
  #young = new Map();
  /** @type {Promise<void> | null} */
  #refreshing = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #soon;
  #connection;
  /** @type {import("./marks.js").Marks | null} read marks on their way; nothing is read before deferred.js is there */
  marks = null;

  /** @param {import("./connection.js").Connection} connection */
  constructor(connection) {
    super();
    this.#connection = connection;
    connection.addEventListener("state", () => {
      this.emit("link", connection.state);
      if (connection.state === "open") void this.refresh().then(() => this.marks?.sendAll());
    });
    connection.on("message", (message) => this.#arrived(message));
    for (const kind of /** @type {ChangeKind[]} */ (["edited", "deleted", "reaction", "member", "group", "moved"])) {
      connection.on(kind, (change) => this.takeChange({ ...change, kind }));
    }
    connection.on("state", ({ conversation, seq, state }) => {
      if (state !== "verified" && state !== "forged") this.#updateLast(conversation, seq, { state });
      else if (state === "forged") this.refreshSoon();
    });
    connection.on("read", ({ conversation, seq, who }) => this.#wasRead(conversation, seq, who));
    connection.on("conversation", () => this.refreshSoon());
    connection.on("presence", ({ who, state }) => this.#update(who, { online: state !== "offline", away: state === "away" }));
    connection.on("profile", (profile) => this.#changed(profile));
    setInterval(() => this.#visible() && this.emit("conversations"), REDRAW);
    globalThis.document?.addEventListener("visibilitychange", () => this.#visible() && void this.refresh());
  }

  /** Takes the answer of `GET /session`. @param {Session} session */
  begin(session) {
    this.session = session;
    if (session.account) {
      const { username, name, picture, status_text: status } = session.account;
      this.#learn(username, name, status);
      this.see(this.place("u", username), picture);
    }
    this.emit("me", this.me);
  }

  /** Forgets everything that belongs to an account. */
  end() {
    clearTimeout(this.#soon);
    if (this.session) this.session = { ...this.session, account: null };
    for (const each of [this.conversations, this.#names, this.#statuses, this.#pictures, this.#young, this.marks]) each?.clear();
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

  /**
   * What people call somebody: the display name if it is known, else the address. People of other realms always show
   * their realm, so that they are not taken for people here.
   * @param {string} address
   */
  displayName(address) {
    const local = this.#local(address);
    return shownName(local, this.#names.get(keyOf(local)));
  }

  /** What a person says of themselves, if it is known, or "". @param {string} address */
  status(address) {
    return this.#statuses.get(keyOf(this.#local(address))) ?? "";
  }

  /** The path of the picture of a person or a group, if it has one. @param {Place} place */
  picture(place) {
    return this.#pictures.get(place.key);
  }

  /** What the avatar of a person or a group shows. @param {Place} place */
  looks(place) {
    const { away } = this.conversation(place) ?? {};
    return { kind: /** @type {"group" | "user"} */ (place.kind === "g" ? "group" : "user"), picture: this.picture(place), away };
  }

  /** The path of a person's picture. @param {string} address */
  pictureOf(address) {
    return this.picture(this.place("u", address));
  }

  /** What people call a group: its title if it is known, else its name. @param {Place} place */
  groupName(place) {
    return this.conversation(place)?.name ?? place.name;
  }

  /** Everybody in this realm. Remembers their display names. @returns {Promise<User[]>} */
  async users() {
    const { users } = await this.#connection.request("users");
    for (const user of users) {
      this.#learn(user.username, user.name, user.status);
      this.see(this.place("u", user.username), user.picture);
    }
    this.emit("conversations"); // they may show names
    return users;
  }

  /**
   * Learns the names and pictures of people in a list: lists have them for people of other realms.
   * @param {readonly {username: string, name?: string, picture?: string}[]} people
   */
  meet(people) {
    for (const { username, name, picture } of people) {
      if (name) this.#learn(username, name, this.status(username));
      if (picture) this.see(this.place("u", username), picture);
    }
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
    if (isImported(message.to)) return this.place("u", message.to ?? "");
    return this.place("u", this.isMe(message.from) ? (message.to ?? "") : message.from);
  }

  /** @param {Place} place @returns {Conversation | undefined} */
  conversation(place) {
    return this.conversations.get(place.key);
  }

  /** Whether a conversation is new, and not in the realm's list yet. @param {Place} place */
  isYoung(place) {
    return this.#young.has(place.key);
  }

  /** Of which messages of a conversation the user wants notifications now. @param {Place} place */
  notifyLevel(place) {
    const { notify = "all", until } = this.conversation(place) ?? {};
    return until && Date.parse(until) <= Date.now() ? "all" : notify;
  }

  /** The conversations, newest activity first. @returns {Conversation[]} */
  sorted() {
    const at = (/** @type {Conversation} */ each) => (each.last ? Date.parse(each.last.at) : 0);
    return [...this.conversations.values()].sort((one, other) => at(other) - at(one));
  }

  /** The unread messages of all conversations, except archived ones, which have a count of their own. */
  totalUnread() {
    let total = 0;
    for (const each of this.conversations.values()) if (!each.archived) total += each.unread;
    return total;
  }

  /** Loads the list of conversations. Ignores errors, because it is loaded again soon. */
  refresh() {
    this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = null));
    return this.#refreshing;
  }

  /** The conversation of that number. @param {number} conversation */
  numbered(conversation) {
    for (const each of this.conversations.values()) if (each.conversation === conversation) return each;
    return undefined;
  }

  // Messages

  /** Takes a new message, or one of the user's own. @param {Place} place @param {Message} message */
  take(place, message) {
    let found = this.conversations.get(place.key);
    if (!found) {
      const name = place.kind === "u" ? this.displayName(place.name) : place.name;
      found = { place, conversation: message.conversation, name, unread: 0, read: 0, seq: 0, last: null };
      this.conversations.set(place.key, found);
      this.#young.set(place.key, performance.now());
      this.refreshSoon();
    }
    found.conversation = message.conversation;
    if (message.seq > (found.last?.seq ?? 0)) {
      found.seq = Math.max(found.seq, message.seq);
      found.last = message;
      if (message.seq > found.read && !this.isMe(message.from)) found.unread += 1;
    }
    this.emit("conversations");
  }

  /** Takes a change of the log. @param {Change} change */
  async takeChange(change) {
    const module = await import("./changes.js").catch(() => null); // the first page does not need it
    if (module === null) return this.refreshSoon(); // the realm's list has the change
    module.takeInto(this, change);
    this.emit("conversations");
  }

  /** Forgets a conversation. @param {Place} place */
  forget(place) {
    for (const each of [this.conversations, this.#young]) each.delete(place.key);
  }

  /**
   * Marks everything up to `seq` as read.
   * @param {Place} place
   * @param {number} seq
   * @param {number} [passed] how many unread messages that are; without it, all
   */
  markRead(place, seq, passed = Infinity) {
    const found = this.conversations.get(place.key);
    if (!found || seq <= found.read) return;
    found.read = seq;
    found.unread = Math.max(0, found.unread - passed);
    if (found.conversation) this.marks?.send(found.conversation, seq);
    this.emit("conversations");
  }

  // Loading and merging

  async #refresh() {
    const account = this.me?.username;
    if (!account || this.#connection.state !== "open") return;
    try {
      const reply = await this.#connection.request("conversations");
      if (account !== this.me?.username) return;
      this.#takeList(reply.conversations, !reply.remaining);
      this.loaded = true;
      this.emit("conversations");
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
      if (kind === "u" && item.name && !isImported(name)) this.#learn(name, item.name, this.status(name));
      const known = before.get(key);
      this.see({ kind, name, key }, item.picture);
      const called = kind === "u" ? this.displayName(name) : item.title || item.name || name;
      /** @type {Conversation} */
      const found = { ...item, name: called, place: known?.place ?? { kind, name, key } };
      const mark = Math.max(this.marks?.of(found.conversation) ?? 0, known?.read ?? 0);
      // A message may have arrived since the realm answered.
      const older = known?.last && known.last.seq > (found.last?.seq ?? 0);
      if (older) Object.assign(found, { seq: known.seq, last: known.last, unread: known.unread });
      else if (mark > found.read && mark >= (found.last?.seq ?? 0)) found.unread = 0;
      found.read = Math.max(found.read, mark);
      this.conversations.set(key, found);
      this.#young.delete(key);
    }
    for (const [key, known] of before) {
      if (this.conversations.has(key)) continue;
      if (!whole || performance.now() - (this.#young.get(key) ?? -Infinity) < YOUNG) this.conversations.set(key, known);
    }
  }

  /** @param {Message} message */
  #arrived(message) {
    this.take(this.placeOf(message), message);
    if (!this.isMe(message.from)) this.emit("incoming", message);
  }

  /** @param {number} conversation @param {number} seq @param {Partial<Message>} change */
  #updateLast(conversation, seq, change) {
    const found = this.numbered(conversation);
    if (!found?.last || found.last.seq !== seq) return;
    found.last = { ...found.last, ...change };
    this.emit("conversations");
  }

  /** The user has read it on another device. @param {number} conversation @param {number} seq @param {string} who */
  #wasRead(conversation, seq, who) {
    const found = this.isMe(who) ? this.numbered(conversation) : undefined;
    if (!found || seq <= found.read) return;
    found.read = seq;
    if (seq >= (found.last?.seq ?? 0)) found.unread = 0;
    else this.refreshSoon();
    this.emit("conversations");
  }

  /** @param {string} who @param {Partial<Conversation>} change */
  #update(who, change) {
    const found = this.conversations.get(this.place("u", who).key);
    if (!found) return;
    Object.assign(found, change);
    this.emit("conversations");
  }

  /** A person has changed their profile. @param {{who: string, name: string, status?: string, picture?: string}} profile */
  #changed({ who, name, status, picture }) {
    this.#learn(this.#local(who), name, status);
    this.see(this.place("u", who), picture);
    if (this.isMe(who)) this.changeMe({ name, picture, status_text: status });
    this.#update(who, { name: this.displayName(who) });
    this.emit("conversations"); // the groups show names too
  }

  /** Loads the list soon, once for several calls. */
  refreshSoon() {
    clearTimeout(this.#soon);
    this.#soon = setTimeout(() => void this.refresh(), SOON);
  }

  // Helpers

  /** An address without the user's own realm. @param {string} address */
  #local(address) {
    const at = address.lastIndexOf("@");
    return at > 0 && keyOf(address.slice(at + 1)) === keyOf(this.realm) ? address.slice(0, at) : address;
  }

  /** @param {string} address @param {string} name @param {string} [status] */
  #learn(address, name, status = "") {
    this.#names.set(keyOf(address), name);
    this.#statuses.set(keyOf(address), status);
  }

  /** Learns the path of a picture, or that there is none. @param {Place} place @param {string} [picture] */
  see(place, picture) {
    if (picture === undefined) this.#pictures.delete(place.key);
    else this.#pictures.set(place.key, picture);
  }

  #visible() {
    return this.me !== null && !globalThis.document?.hidden;
  }
}
