// @ts-check
/**
 * The scrolling list of a conversation. Only some hundreds of messages are on the page, a window over all
 * that are loaded, which moves with the reader. What one is looking at stays where it is whatever comes
 * above or below; who is at the end stays at the end.
 */

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "../ui.js";
import { layOut } from "./layout.js";
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
 *   seen: () => void,
 * }} Options `older` gets earlier messages (and tells update()); `seen`: the newest one is being looked at.
 */

const MOST = 300; // messages on the page, save for those that arrive while one reads further up
const STEP = 100; // messages by which the window moves
const NEAR = 900; // px from the window's edge at which it moves
const END = 48; // px from the end that still count as there
const SETTLE = 16; // ms between two renderings

export class Thread {
  #options;
  /** @type {Scene} */
  #scene = { messages: [], pending: [], isMe: () => false, unreadAfter: null };
  /** The window: seqs of its first and last message. Infinity: it has the newest, whatever comes. */
  #first = -Infinity;
  #last = Infinity;
  /** Whether one is at the end, and stays there. */
  #pinned = true;
  /** @type {number | null} The newest seq that has been in sight. */
  #seen = null;
  /** Where the scroller was when it was last looked at, in px. */
  #place = 0;
  /** @type {{node: Element, top: number} | null} */
  #anchor = null;
  /** @type {"idle" | "loading" | "failed"} */
  #loading = "idle";
  #rendered = 0;
  /** @type {number | undefined} */
  #timer;
  #open = false;
  #top;
  #list;
  #count;
  #jumpLabel;
  #rows;
  #scroller;
  #jump;
  #observer;

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;

    this.#top = h("div", { class: "thread-top" });
    this.#list = h("div", { class: "thread-list", role: "list" });
    this.#scroller = h(
      "div",
      {
        class: "thread-scroller",
        role: "log",
        // Histories are not read aloud; what arrives is said elsewhere (hearing.js).
        "aria-live": "off",
        "aria-label": options.label,
        tabindex: "0",
        on: {
          scroll: () => this.#scrolled(),
          keydown: (/** @type {KeyboardEvent} */ event) => this.#key(event),
        },
      },
      this.#top,
      this.#list,
    );
    this.#count = h("span", { class: "jump-count" });
    this.#jumpLabel = h("span", { class: "visually-hidden" }, t("chat.jump"));
    this.#jump = h(
      "button",
      { class: "jump", type: "button", hidden: true, on: { click: () => this.toEnd() } },
      icon("down"),
      this.#count,
      this.#jumpLabel,
    );
    this.node = h("div", { class: "thread" }, this.#scroller, this.#jump);
    this.#rows = new Rows(this.#list, options.bubbles);
    this.#observer = new ResizeObserver(() => {
      this.#look();
      this.#hold();
    });
    this.#observer.observe(this.#scroller);
    this.#observer.observe(this.#list);
  }

  /** Ends what goes on by itself. */
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
    this.#seen = scene.unreadAfter;
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

  /** Goes to the newest message. */
  toEnd() {
    this.#pinned = true;
    this.#last = Infinity;
    this.#window(this.#scene.messages.length - STEP);
    this.#render();
    this.#scrolled();
  }

  /**
   * Scrolls by so many screens, for keys that are pressed elsewhere.
   * @param {number} screens
   */
  page(screens) {
    this.#scroller.scrollBy({ top: screens * this.#scroller.clientHeight * 0.85 });
  }

  /** Whether the newest message is in sight. */
  get atEnd() {
    return this.#pinned && document.visibilityState === "visible";
  }

  #changed() {
    this.#render();
    this.#scrolled();
  }

  /**
   * Makes the window begin with that message.
   * @param {number} index
   */
  #window(index) {
    this.#first = this.#scene.messages[Math.max(0, index)]?.seq ?? -Infinity;
  }

  /**
   * The window's messages, as indexes from … up to.
   * @returns {[number, number]}
   */
  #bounds() {
    const { messages } = this.#scene;
    const from = indexOf(messages, this.#first);
    return [from, this.#last === Infinity ? messages.length : indexOf(messages, this.#last + 1)];
  }

  #render() {
    this.#look();
    const { messages, pending } = this.#scene;
    let [from, to] = this.#bounds();
    if (this.#last === Infinity && to - from > MOST) {
      if (this.#pinned) this.#window((from = to - MOST + STEP));
      else if (to - from > 2 * MOST) this.#last = messages[(to = from + 2 * MOST) - 1].seq;
    }
    const whole = this.#last === Infinity;
    this.#rows.show(
      layOut({ ...this.#scene, messages: messages.slice(from, to), pending: whole ? pending : [] }),
    );
    this.#showTop();
    this.#rendered = performance.now();
    this.#hold();
  }

  /** Finds out what one is looking at, if one has scrolled: the event comes later than what one sees. */
  #look() {
    if (Math.abs(this.#scroller.scrollTop - this.#place) < 1) return;
    this.#place = this.#scroller.scrollTop;
    this.#pinned = this.#atEnd();
    this.#anchor = this.#pinned ? null : this.#firstInSight();
  }

  /** Puts what one was looking at where it was. */
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
    const { messages } = this.#scene;
    this.#look();
    this.#anchor ??= this.#pinned ? null : this.#firstInSight();
    const below = this.#scroller.scrollHeight - this.#scroller.clientHeight - this.#scroller.scrollTop;
    if (this.#scroller.scrollTop < NEAR) this.#up();
    else if (below < NEAR && this.#last !== Infinity) this.#down();
    const newest = messages.at(-1)?.seq ?? 0;
    if (this.atEnd) {
      this.#seen = newest;
      this.#options.seen();
    }
    this.#showJump(below);
  }

  #atEnd() {
    const { scrollHeight, clientHeight, scrollTop } = this.#scroller;
    return this.#last === Infinity && scrollHeight - clientHeight - scrollTop < END;
  }

  /** Moves the window up, or has earlier messages loaded. */
  #up() {
    const { messages } = this.#scene;
    const [from, to] = this.#bounds();
    if (from === 0) {
      if (this.#loading === "idle" && this.#options.hasOlder()) void this.#load();
      return;
    }
    const first = Math.max(0, from - STEP);
    this.#first = messages[first].seq;
    // What is far below is let go; not while one is at the end, which would take it from under one's eyes.
    if (!this.#pinned && to - first > MOST) this.#last = messages[first + MOST - 1].seq;
    this.#render();
  }

  #down() {
    const { messages } = this.#scene;
    const [from, to] = this.#bounds();
    const end = Math.min(messages.length, to + STEP);
    this.#last = end === messages.length ? Infinity : messages[end - 1].seq;
    if (end - from > MOST) this.#first = messages[end - MOST].seq;
    this.#render();
  }

  async #load() {
    this.#loading = "loading";
    this.#showTop();
    try {
      await this.#options.older();
      this.#loading = "idle";
    } catch {
      this.#loading = "failed";
    }
    this.#showTop();
    if (this.#loading === "idle") this.#scrolled();
  }

  #showTop() {
    const [from] = this.#bounds();
    const begins = from === 0 && !this.#options.hasOlder() && this.#scene.messages.length > 0;
    const state = this.#loading === "idle" && begins ? "begin" : this.#loading;
    if (this.#top.dataset.state === state) return;
    this.#top.dataset.state = state;
    /** @type {Record<string, () => Node | string>} */
    const shows = {
      begin: () => t("chat.begin"),
      loading: () => t("chat.older.loading"),
      failed: () =>
        h(
          "button",
          { class: "link-button", type: "button", on: { click: () => void this.#load() } },
          t("chat.older.failed"),
        ),
      idle: () => "",
    };
    this.#top.replaceChildren(shows[state]());
  }

  /**
   * @param {number} below px
   */
  #showJump(below) {
    const near = this.#last === Infinity && below < this.#scroller.clientHeight / 2;
    const { messages, isMe } = this.#scene;
    let fresh = 0;
    if (this.#seen !== null) {
      const from = indexOf(messages, this.#seen + 1);
      for (let at = from; at < messages.length; at += 1) if (!isMe(messages[at].from)) fresh += 1;
    }
    this.#jump.hidden = this.#pinned || (near && fresh === 0);
    this.#count.textContent = fresh > 0 ? (fresh > 99 ? "99+" : String(fresh)) : "";
    this.#jumpLabel.textContent = fresh > 0 ? t("chat.jump.new", { n: fresh }) : t("chat.jump");
  }

  /**
   * @param {KeyboardEvent} event
   */
  #key(event) {
    if (event.key === "End" && event.target === this.#scroller) {
      event.preventDefault();
      this.toEnd();
    }
  }

  /**
   * How far below the list's upper edge a row is, in px.
   * @param {Element} node
   */
  #offset(node) {
    return node.getBoundingClientRect().top - this.#scroller.getBoundingClientRect().top;
  }

  /**
   * The uppermost message in sight, to which the rest is held.
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
    // Days and the unread line may go; messages stay.
    while (low < rows.length - 1 && !rows[low].classList.contains("message")) low += 1;
    const node = rows[low];
    return node === undefined ? null : { node, top: this.#offset(node) };
  }
}

/**
 * The index of the first message with that seq or a later one.
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
