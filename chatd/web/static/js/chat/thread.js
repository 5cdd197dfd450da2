// @ts-check
/**
 * The scrolling list of a conversation. Only some hundred messages are on the page: a window over the loaded ones
 * that moves with the reader. The messages in sight keep their place when others are added above or below. A reader
 * at the end stays at the end.
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
 * }} Options `older` loads earlier messages and calls update(); `seen` is called when the newest one is in sight.
 */

const MAX = 300; // messages on the page, except for those that arrive while the reader is further up
const STEP = 100; // messages by which the window moves
const NEAR = 900; // px from the window's edge at which it moves
const END = 48; // px from the end that count as the end
const SETTLE = 16; // ms between two renderings

export class Thread {
  #options;
  /** @type {Scene} */
  #scene = { messages: [], pending: [], isMe: () => false, unreadAfter: null };
  /** The window: the seqs of its first and last message. Infinity: it always includes the newest. */
  #first = -Infinity;
  #last = Infinity;
  /** Whether the reader is at the end, and stays there. */
  #pinned = true;
  /** @type {number | null} The newest seq that has been in sight. */
  #seen = null;
  /** The last known scroll position, in px. */
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
        // The history is not read aloud; announcer.js announces new messages.
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
   * Scrolls by so many screens, for keys pressed in the composer.
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
    return [from, this.#last === Infinity ? messages.length : indexOf(messages, this.#last + 1)];
  }

  #render() {
    this.#look();
    const { messages, pending } = this.#scene;
    let [from, to] = this.#bounds();
    if (this.#last === Infinity && to - from > MAX) {
      if (this.#pinned) this.#window((from = to - MAX + STEP));
      else if (to - from > 2 * MAX) this.#last = messages[(to = from + 2 * MAX) - 1].seq;
    }
    const whole = this.#last === Infinity;
    this.#rows.show(
      layOut({ ...this.#scene, messages: messages.slice(from, to), pending: whole ? pending : [] }),
    );
    this.#showTop();
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

  /** Moves the window up, or loads earlier messages. */
  #up() {
    const { messages } = this.#scene;
    const [from, to] = this.#bounds();
    if (from === 0) {
      if (this.#loading === "idle" && this.#options.hasOlder()) void this.#load();
      return;
    }
    const first = Math.max(0, from - STEP);
    this.#first = messages[first].seq;
    // Drop what is far below, but not while the reader is at the end, because it is in sight.
    if (!this.#pinned && to - first > MAX) this.#last = messages[first + MAX - 1].seq;
    this.#render();
  }

  #down() {
    const { messages } = this.#scene;
    const [from, to] = this.#bounds();
    const end = Math.min(messages.length, to + STEP);
    this.#last = end === messages.length ? Infinity : messages[end - 1].seq;
    if (end - from > MAX) this.#first = messages[end - MAX].seq;
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
