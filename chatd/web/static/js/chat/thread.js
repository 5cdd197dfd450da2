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
const SETTLE = 40; // ms between two renderings

export class Thread {
  /** @param {Options} options */
  constructor(options) {
    /** @private */
    this._options = options;
    /** @private @type {Scene} */
    this._scene = { messages: [], pending: [], isMe: () => false, unreadAfter: null };
    /** @private The window: seqs of its first and last message. Infinity: it has the newest, whatever comes. */
    this._first = -Infinity;
    /** @private */
    this._last = Infinity;
    /** @private Whether one is at the end, and stays there. */
    this._pinned = true;
    /** @private @type {number | null} The newest seq that has been in sight. */
    this._seen = null;
    /** @private Where the scroller was when it was last looked at, in px. */
    this._place = 0;
    /** @private @type {{node: Element, top: number} | null} */
    this._anchor = null;
    /** @private @type {"idle" | "loading" | "failed"} */
    this._loading = "idle";
    /** @private */
    this._rendered = 0;
    /** @private @type {number | undefined} */
    this._timer = undefined;
    /** @private */
    this._open = false;

    this._top = h("div", { class: "thread-top" });
    this._list = h("div", { class: "thread-list", role: "list" });
    this._scroller = h(
      "div",
      {
        class: "thread-scroller",
        role: "log",
        // Histories are not read aloud; what arrives is said elsewhere (announce.js).
        "aria-live": "off",
        "aria-label": options.label,
        tabindex: "0",
        on: {
          scroll: () => this._scrolled(),
          keydown: (/** @type {KeyboardEvent} */ event) => this._key(event),
        },
      },
      this._top,
      this._list,
    );
    this._count = h("span", { class: "jump-count" });
    this._jumpLabel = h("span", { class: "visually-hidden" }, t("chat.jump"));
    this._jump = h(
      "button",
      { class: "jump", type: "button", hidden: true, on: { click: () => this.toEnd() } },
      icon("down"),
      this._count,
      this._jumpLabel,
    );
    this.node = h("div", { class: "thread" }, this._scroller, this._jump);
    this._rows = new Rows(this._list, options.bubbles);
    /** @private */
    this._observer = new ResizeObserver(() => {
      this._look();
      this._hold();
    });
    this._observer.observe(this._scroller);
    this._observer.observe(this._list);
  }

  /** Ends what goes on by itself. */
  destroy() {
    clearTimeout(this._timer);
    this._observer.disconnect();
  }

  /**
   * Shows a conversation for the first time: at its unread line, or at its end.
   * @param {Scene} scene
   */
  open(scene) {
    this._open = true;
    this._scene = scene;
    this._seen = scene.unreadAfter;
    this._window(scene.messages.length - STEP);
    if (scene.unreadAfter !== null) {
      const line = scene.messages.findIndex((each) => each.seq > Number(scene.unreadAfter));
      if (line !== -1) this._window(Math.min(line - 20, scene.messages.length - STEP));
    }
    this._render();
    const unread = this._rows.find("unread");
    if (unread !== null) {
      this._scroller.scrollTop += this._offset(unread) - this._scroller.clientHeight / 4;
    }
    this._scrolled();
  }

  /**
   * Shows what has changed.
   * @param {Scene} scene
   */
  update(scene) {
    this._scene = scene;
    if (!this._open || this._timer !== undefined) return;
    const wait = this._rendered + SETTLE - performance.now();
    if (wait <= 0) return this._changed();
    this._timer = window.setTimeout(() => {
      this._timer = undefined;
      this._changed();
    }, wait);
  }

  /** Goes to the newest message. */
  toEnd() {
    this._pinned = true;
    this._last = Infinity;
    this._window(this._scene.messages.length - STEP);
    this._render();
    this._scrolled();
  }

  /**
   * Scrolls by so many screens, for keys that are pressed elsewhere.
   * @param {number} screens
   */
  page(screens) {
    this._scroller.scrollBy({ top: screens * this._scroller.clientHeight * 0.85 });
  }

  /** Whether the newest message is in sight. */
  get atEnd() {
    return this._pinned && document.visibilityState === "visible";
  }

  /** @private */
  _changed() {
    this._render();
    this._scrolled();
  }

  /**
   * Makes the window begin with that message.
   * @private
   * @param {number} index
   */
  _window(index) {
    this._first = this._scene.messages[Math.max(0, index)]?.seq ?? -Infinity;
  }

  /**
   * The window's messages, as indexes from … up to.
   * @private
   * @returns {[number, number]}
   */
  _bounds() {
    const { messages } = this._scene;
    const from = indexOf(messages, this._first);
    return [from, this._last === Infinity ? messages.length : indexOf(messages, this._last + 1)];
  }

  /** @private */
  _render() {
    this._look();
    const { messages, pending } = this._scene;
    let [from, to] = this._bounds();
    if (this._last === Infinity && to - from > MOST) {
      if (this._pinned) this._window((from = to - MOST + STEP));
      else if (to - from > 2 * MOST) this._last = messages[(to = from + 2 * MOST) - 1].seq;
    }
    const whole = this._last === Infinity;
    this._rows.show(
      layOut({ ...this._scene, messages: messages.slice(from, to), pending: whole ? pending : [] }),
    );
    this._showTop();
    this._rendered = performance.now();
    this._hold();
  }

  /** Finds out what one is looking at, if one has scrolled: the event comes later than what one sees. @private */
  _look() {
    if (Math.abs(this._scroller.scrollTop - this._place) < 1) return;
    this._place = this._scroller.scrollTop;
    this._pinned = this._atEnd();
    this._anchor = this._pinned ? null : this._firstInSight();
  }

  /** Puts what one was looking at where it was. @private */
  _hold() {
    if (this._pinned) {
      this._scroller.scrollTop = this._scroller.scrollHeight;
    } else if (this._anchor?.node.isConnected) {
      const moved = this._offset(this._anchor.node) - this._anchor.top;
      if (Math.abs(moved) >= 1) this._scroller.scrollTop += moved;
    }
    this._place = this._scroller.scrollTop;
  }

  /** @private */
  _scrolled() {
    if (!this._open) return;
    const { messages } = this._scene;
    this._look();
    this._anchor ??= this._pinned ? null : this._firstInSight();
    const below = this._scroller.scrollHeight - this._scroller.clientHeight - this._scroller.scrollTop;
    if (this._scroller.scrollTop < NEAR) this._up();
    else if (below < NEAR && this._last !== Infinity) this._down();
    const newest = messages.at(-1)?.seq ?? 0;
    if (this.atEnd) {
      this._seen = newest;
      this._options.seen();
    }
    this._showJump(below);
  }

  /** @private */
  _atEnd() {
    const { scrollHeight, clientHeight, scrollTop } = this._scroller;
    return this._last === Infinity && scrollHeight - clientHeight - scrollTop < END;
  }

  /** Moves the window up, or has earlier messages loaded. @private */
  _up() {
    const { messages } = this._scene;
    const [from, to] = this._bounds();
    if (from === 0) {
      if (this._loading === "idle" && this._options.hasOlder()) void this._load();
      return;
    }
    const first = Math.max(0, from - STEP);
    this._first = messages[first].seq;
    // What is far below is let go; not while one is at the end, which would take it from under one's eyes.
    if (!this._pinned && to - first > MOST) this._last = messages[first + MOST - 1].seq;
    this._render();
  }

  /** @private */
  _down() {
    const { messages } = this._scene;
    const [from, to] = this._bounds();
    const end = Math.min(messages.length, to + STEP);
    this._last = end === messages.length ? Infinity : messages[end - 1].seq;
    if (end - from > MOST) this._first = messages[end - MOST].seq;
    this._render();
  }

  /** @private */
  async _load() {
    this._loading = "loading";
    this._showTop();
    try {
      await this._options.older();
      this._loading = "idle";
    } catch {
      this._loading = "failed";
    }
    this._showTop();
    if (this._loading === "idle") this._scrolled();
  }

  /** @private */
  _showTop() {
    const [from] = this._bounds();
    const begins = from === 0 && !this._options.hasOlder() && this._scene.messages.length > 0;
    const state = this._loading === "idle" && begins ? "begin" : this._loading;
    if (this._top.dataset.state === state) return;
    this._top.dataset.state = state;
    /** @type {Record<string, () => Node | string>} */
    const shows = {
      begin: () => t("chat.begin"),
      loading: () => t("chat.older.loading"),
      failed: () =>
        h(
          "button",
          { class: "link-button", type: "button", on: { click: () => void this._load() } },
          t("chat.older.failed"),
        ),
      idle: () => "",
    };
    this._top.replaceChildren(shows[state]());
  }

  /**
   * @private
   * @param {number} below px
   */
  _showJump(below) {
    const near = this._last === Infinity && below < this._scroller.clientHeight / 2;
    const { messages, isMe } = this._scene;
    let fresh = 0;
    if (this._seen !== null) {
      const from = indexOf(messages, this._seen + 1);
      for (let at = from; at < messages.length; at += 1) if (!isMe(messages[at].from)) fresh += 1;
    }
    this._jump.hidden = this._pinned || (near && fresh === 0);
    this._count.textContent = fresh > 0 ? (fresh > 99 ? "99+" : String(fresh)) : "";
    this._jumpLabel.textContent = fresh > 0 ? t("chat.jump.new", { n: fresh }) : t("chat.jump");
  }

  /**
   * @private
   * @param {KeyboardEvent} event
   */
  _key(event) {
    if (event.key === "End" && event.target === this._scroller) {
      event.preventDefault();
      this.toEnd();
    }
  }

  /**
   * How far below the list's upper edge a row is, in px.
   * @private
   * @param {Element} node
   */
  _offset(node) {
    return node.getBoundingClientRect().top - this._scroller.getBoundingClientRect().top;
  }

  /**
   * The uppermost message in sight, to which the rest is held.
   * @private
   */
  _firstInSight() {
    const rows = this._list.children;
    const top = this._scroller.getBoundingClientRect().top;
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
    return node === undefined ? null : { node, top: this._offset(node) };
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
