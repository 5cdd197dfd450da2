// @ts-check
/**
 * The scrolling list of a conversation. Only some hundred messages are on the page: a window over the loaded ones
 * that moves with the reader. The messages in sight keep their place when others are added above or below. A reader
 * at the end stays at the end.
 */

import { h, uid } from "../dom.js";
import { t } from "../i18n.js";
import { Edge } from "./edge.js";
import { Jump } from "./jump.js";
import { layOut } from "./layout.js";
import { moveFocus } from "./roving.js";
import { Rows } from "./rows.js";

/** @typedef {import("../types.js").Message} Message */
/** @typedef {import("./layout.js").Scene} Scene */
/** @typedef {import("./bubble.js").Bubbles} Bubbles */

/**
 * @typedef {{
 *   label: string,
 *   bubbles: Bubbles,
 *   older: () => Promise<void>,
 *   hasOlder: () => boolean,
 *   newer: () => Promise<void>,
 *   hasNewer: () => boolean,
 *   newest: () => Promise<void>,
 *   seen: (seq: number) => void,
 *   unread: () => number,
 *   leave: () => void,
 * }} Options `older`, `newer` and `newest` load messages and call update(); `seen` is called with the last message in
 *   sight; `leave` takes the focus elsewhere.
 */

const MAX = 300; // messages on the page, except for those that arrive while the reader is further up
const STEP = 100; // messages by which the window moves
const NEAR = 900; // px from the window's edge at which it moves
const END = 48; // px from the end that count as the end
const SETTLE = 16; // ms between two renderings
const FLASH = 2500; // ms for which a message that was looked for is marked

/** @type {Scene} */
const EMPTY = { messages: [], lines: [], pending: [], isMe: () => false, unreadAfter: null };

export class Thread {
  #options;
  #scene = EMPTY;
  /** The window: the seqs of its first and last message. Infinity: it always includes the newest. */
  #first = -Infinity;
  #last = Infinity;
  /** Whether the reader is at the end, and stays there. */
  #pinned = true;
  /** The last known scroll position, in px. */
  #place = 0;
  /** @type {{node: Element, top: number} | null} */
  #anchor = null;
  #rendered = 0;
  /** @type {number | undefined} */
  #timer;
  #open = false;
  #list = h("div", { class: "thread-list", role: "list" });
  #jump = new Jump(() => this.toEnd());
  #top;
  #bottom;
  #rows;
  #scroller;
  #observer;

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    const loaded = () => this.#scrolled();
    this.#top = new Edge("thread-top", {
      more: options.hasOlder,
      load: options.older,
      loaded,
      words: { loading: "chat.older.loading", failed: "chat.older.failed", end: "chat.begin" },
    });
    this.#bottom = new Edge("thread-bottom", {
      more: options.hasNewer,
      load: options.newer,
      loaded,
      words: { loading: "chat.newer.loading", failed: "chat.newer.failed", end: "" },
    });
    const hint = h("p", { class: "visually-hidden", id: uid("thread-keys") }, t("chat.log.keys"));
    this.#scroller = h(
      "div",
      {
        class: "thread-scroller",
        role: "log",
        // The history is not read aloud; announcer.js announces new messages.
        "aria-live": "off",
        "aria-label": options.label,
        "aria-describedby": hint.id,
        tabindex: "0",
        on: {
          scroll: () => this.#scrolled(),
          keydown: (/** @type {KeyboardEvent} */ event) => this.#key(event),
        },
      },
      this.#top.node,
      this.#list,
      this.#bottom.node,
    );
    this.node = h("div", { class: "thread" }, hint, this.#scroller, this.#jump.node);
    this.#rows = new Rows(this.#list, options.bubbles);
    this.#observer = new ResizeObserver(() => {
      this.#look();
      this.#hold();
    });
    this.#observer.observe(this.#scroller);
    this.#observer.observe(this.#list);
  }

  /** Stops timers and observers. */
  destroy() {
    clearTimeout(this.#timer);
    this.#observer.disconnect();
  }

  /**
   * Shows a conversation for the first time: at its unread line, or at its end.
   * @param {Scene} scene
   */
  open(scene) {
    this.#open = true;
    this.#scene = scene;
    this.#window(scene.messages.length - STEP);
    if (scene.unreadAfter !== null) {
      const line = scene.messages.findIndex((each) => each.seq > Number(scene.unreadAfter));
      if (line !== -1) this.#window(Math.min(line - 20, scene.messages.length - STEP));
    }
    this.#render();
    const unread = this.#rows.find("unread");
    if (unread !== null) {
      this.#scroller.scrollTop += this.#offset(unread) - this.#scroller.clientHeight / 4;
    }
    this.#scrolled();
  }

  /**
   * Shows what has changed.
   * @param {Scene} scene
   */
  update(scene) {
    this.#scene = scene;
    if (!this.#open || this.#timer !== undefined) return;
    const wait = this.#rendered + SETTLE - performance.now();
    if (wait <= 0) return this.#changed();
    this.#timer = window.setTimeout(() => {
      this.#timer = undefined;
      this.#changed();
    }, wait);
  }

  /** Goes to the newest message, which may have to be loaded. */
  toEnd() {
    if (this.#options.hasNewer()) return void this.#options.newest().then(() => this.#toEnd(), () => {});
    this.#toEnd();
  }

  #toEnd() {
    this.#pinned = true;
    this.#last = Infinity;
    this.#window(this.#scene.messages.length - STEP);
    this.#render();
    this.#scrolled();
  }

  /**
   * Goes to a loaded message, and marks it for a moment.
   * @param {Scene} scene
   * @param {number} seq
   */
  goTo(scene, seq) {
    this.#open = true;
    this.#scene = scene;
    const { messages } = scene;
    const at = indexOf(messages, seq);
    this.#pinned = false;
    this.#window(at - STEP / 2);
    const last = at + STEP / 2;
    this.#last = last < messages.length ? messages[last].seq : Infinity;
    this.#anchor = null;
    this.#render();
    const node = this.#rows.of(seq);
    if (node === null) return;
    this.#scroller.scrollTop += this.#offset(node) - (this.#scroller.clientHeight - node.offsetHeight) / 2;
    this.#look();
    this.#scrolled();
    node.classList.add("is-found");
    setTimeout(() => node.classList.remove("is-found"), FLASH);
    /** @type {HTMLElement | null} */ (node.querySelector(".message-more"))?.focus({ preventScroll: true });
  }

  /**
   * Scrolls by so many screens, for keys pressed in the composer.
   * @param {number} screens
   */
  page(screens) {
    this.#scroller.scrollBy({ top: screens * this.#scroller.clientHeight * 0.85 });
  }

  #changed() {
    this.#render();
    this.#scrolled();
  }

  /**
   * Moves the window so that it begins with that message.
   * @param {number} index
   */
  #window(index) {
    this.#first = this.#scene.messages[Math.max(0, index)]?.seq ?? -Infinity;
  }

  /**
   * The window as indexes: from the first, up to but without the last.
   * @returns {[number, number]}
   */
  #bounds() {
    const { messages } = this.#scene;
    const from = indexOf(messages, this.#first);
    if (from === messages.length || messages[0].seq > this.#last) {
      // Other messages are loaded now.
      this.#first = -Infinity;
      this.#last = Infinity;
      return [0, messages.length];
    }
    return [from, this.#last === Infinity ? messages.length : indexOf(messages, this.#last + 1)];
  }

  #render() {
    this.#look();
    const { messages, lines, pending } = this.#scene;
    let [from, to] = this.#bounds();
    if (this.#last === Infinity && to - from > MAX) {
      if (this.#pinned) this.#window((from = to - MAX + STEP));
      else if (to - from > 2 * MAX) this.#last = messages[(to = from + 2 * MAX) - 1].seq;
    }
    const whole = this.#last === Infinity;
    const [first, last] = [from > 0 ? messages[from].seq : -Infinity, whole ? Infinity : this.#last];
    this.#rows.show(
      layOut({
        ...this.#scene,
        messages: messages.slice(from, to),
        lines: lines.filter(({ seq }) => seq >= first && seq <= last),
        pending: whole && !this.#options.hasNewer() ? pending : [],
      }),
    );
    this.#top.show(from === 0 && messages.length > 0);
    this.#bottom.show(whole);
    this.#rendered = performance.now();
    this.#hold();
  }

  /** Updates the anchor if the reader has scrolled. The scroll event comes late, so it is checked here. */
  #look() {
    if (Math.abs(this.#scroller.scrollTop - this.#place) < 1) return;
    this.#place = this.#scroller.scrollTop;
    this.#pinned = this.#atEnd();
    this.#anchor = this.#pinned ? null : this.#firstInSight();
  }

  /** Scrolls so that the anchor is where it was. */
  #hold() {
    if (this.#pinned) {
      this.#scroller.scrollTop = this.#scroller.scrollHeight;
    } else if (this.#anchor?.node.isConnected) {
      const moved = this.#offset(this.#anchor.node) - this.#anchor.top;
      if (Math.abs(moved) >= 1) this.#scroller.scrollTop += moved;
    }
    this.#place = this.#scroller.scrollTop;
  }

  #scrolled() {
    if (!this.#open) return;
    this.#look();
    this.#anchor ??= this.#pinned ? null : this.#firstInSight();
    const below = this.#scroller.scrollHeight - this.#scroller.clientHeight - this.#scroller.scrollTop;
    if (this.#scroller.scrollTop < NEAR) this.#up();
    if (below < NEAR) this.#down();
    if (document.visibilityState === "visible") {
      const seq = this.#pinned ? (this.#scene.messages.at(-1)?.seq ?? 0) : this.#rows.lastAbove(this.#bottomEdge());
      this.#options.seen(seq);
    }
    this.#showJump(below);
  }

  #bottomEdge() {
    return this.#scroller.getBoundingClientRect().bottom;
  }

  #atEnd() {
    const { scrollHeight, clientHeight, scrollTop } = this.#scroller;
    const newest = this.#last === Infinity && !this.#options.hasNewer();
    return newest && scrollHeight - clientHeight - scrollTop < END;
  }

  /** Moves the window up, or loads earlier messages. */
  #up() {
    const { messages } = this.#scene;
    const [from, to] = this.#bounds();
    if (from === 0) return this.#top.reach();
    const first = Math.max(0, from - STEP);
    this.#first = messages[first].seq;
    // Drop what is far below, but not while the reader is at the end, because it is in sight.
    if (!this.#pinned && to - first > MAX) this.#last = messages[first + MAX - 1].seq;
    this.#render();
  }

  /** Moves the window down, or loads later messages. */
  #down() {
    if (this.#last === Infinity) return this.#bottom.reach();
    const { messages } = this.#scene;
    const [from, to] = this.#bounds();
    const end = Math.min(messages.length, to + STEP);
    this.#last = end === messages.length ? Infinity : messages[end - 1].seq;
    if (end - from > MAX) this.#first = messages[end - MAX].seq;
    this.#render();
  }

  /**
   * @param {number} below px
   */
  #showJump(below) {
    const whole = this.#last === Infinity && !this.#options.hasNewer();
    const near = whole && below < this.#scroller.clientHeight / 2;
    const fresh = this.#options.unread();
    this.#jump.show(this.#pinned || (near && fresh === 0), fresh);
  }

  /**
   * @param {KeyboardEvent} event
   */
  #key(event) {
    const { target, key } = event;
    if (key === "End" && target === this.#scroller) {
      this.toEnd();
    } else if (key === "Escape") {
      this.#options.leave();
    } else if (!moveFocus(this.#list, this.#bottomEdge(), event)) {
      return;
    }
    event.preventDefault();
  }

  /**
   * The distance of a row from the list's upper edge, in px.
   * @param {Element} node
   */
  #offset(node) {
    return node.getBoundingClientRect().top - this.#scroller.getBoundingClientRect().top;
  }

  /**
   * The uppermost message in sight, which serves as the anchor.
   */
  #firstInSight() {
    const rows = this.#list.children;
    const top = this.#scroller.getBoundingClientRect().top;
    let low = 0;
    let high = rows.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (rows[middle].getBoundingClientRect().bottom > top) high = middle;
      else low = middle + 1;
    }
    // Days and the unread line may disappear; messages stay.
    while (low < rows.length - 1 && !rows[low].classList.contains("message")) low += 1;
    const node = rows[low];
    return node === undefined ? null : { node, top: this.#offset(node) };
  }
}

/**
 * The index of the first message with this seq or a later one.
 * @param {readonly Message[]} messages sorted by seq
 * @param {number} seq
 */
function indexOf(messages, seq) {
  let low = 0;
  let high = messages.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (messages[middle].seq >= seq) high = middle;
    else low = middle + 1;
  }
  return low;
}
