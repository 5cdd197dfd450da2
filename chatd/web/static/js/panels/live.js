// @ts-check
/**
 * A part of a page that shows an answer of the realm and keeps it up to date: when the link is back, when the page
 * becomes visible, and after events or at intervals while it is visible.
 */

import { fill, h } from "../dom.js";
import { ChatError } from "../errors.js";
import { t } from "../i18n.js";
import { tError } from "../refusals.js";
import { button, emptyState } from "../ui.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {import("../dom.js").Child} Child */

/**
 * @template T
 * @typedef {object} Source
 * @property {() => Promise<T>} load asks the realm
 * @property {(found: T) => Child[]} show makes the elements
 * @property {number} [every] ms after which it is loaded again; without it, never by itself
 * @property {string[]} [events] of the realm, after which it is loaded again
 * @property {(error: unknown) => HTMLElement | null} [failed] what to show for an error; null: the usual message
 */

const TIMEOUT = 300; // ms without an answer after which a spinner is shown
const GATHER = 1000; // ms during which several events cause one question
const REST = 5000; // ms between two questions that events cause
const LATER = 500; // ms between checks whether a dialog is still open

/**
 * @template T
 * @param {App} app
 * @param {Source<T>} source
 */
export function live(app, source) {
  return new Live(app, source);
}

/**
 * The part itself; `node` is its element.
 * @template T
 */
export class Live {
  node = h("div", { class: "live", "aria-busy": true });
  /** @type {T | undefined} */
  #known;
  #shown = "";
  #asked = 0;
  #gone = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #later;
  #waiting = setTimeout(() => fill(this.node, notice(t("panels.loading"))), TIMEOUT);
  #source;
  #stop;

  /**
   * @param {App} app
   * @param {Source<T>} source
   */
  constructor(app, source) {
    this.#source = source;
    this.#stop = keepFresh(app, () => void this.refresh(), source);
    void this.refresh();
  }

  /** Loads it now. */
  async refresh() {
    this.#asked += 1;
    const turn = this.#asked;
    try {
      const found = await this.#source.load();
      if (this.#gone || turn !== this.#asked) return;
      this.#known = found;
      if (JSON.stringify(found) !== this.#shown) this.redraw();
    } catch (error) {
      if (this.#gone || turn !== this.#asked) return;
      this.#failed(error);
    }
    clearTimeout(this.#waiting);
    this.node.removeAttribute("aria-busy");
  }

  /** Shows the last answer again. */
  redraw() {
    clearTimeout(this.#later);
    const found = this.#known;
    if (found === undefined || this.#gone) return;
    if (document.querySelector("dialog[open]")) {
      // When the dialog closes, the focus returns to the button that opened it, so keep the button until then.
      this.#later = setTimeout(() => this.redraw(), LATER);
      return;
    }
    this.#shown = JSON.stringify(found);
    keepFocus(this.node, () => fill(this.node, ...this.#source.show(found)));
  }

  destroy() {
    this.#gone = true;
    clearTimeout(this.#waiting);
    clearTimeout(this.#later);
    this.#stop();
  }

  /** @param {unknown} error */
  #failed(error) {
    const refused = error instanceof ChatError;
    const instead = refused && this.#source.failed?.(error);
    // Keep showing the last answer: it is loaded again soon, or when the link is back.
    if (!instead && this.#known !== undefined) return;
    this.#known = undefined;
    this.#shown = "";
    fill(this.node, instead || (refused ? failure(error, () => this.refresh()) : notice(t("panels.offline"))));
  }
}

/**
 * Calls `ask` when the link is back, when the page becomes visible, and after these events and every `every` ms while
 * both are so.
 * @param {App} app
 * @param {() => void} ask
 * @param {{every?: number, events?: string[]}} when
 * @returns {() => void} ends that
 */
function keepFresh(app, ask, { every, events = [] }) {
  const { connection } = app;
  const look = () => {
    if (!document.hidden && connection.state === "open") ask();
  };
  connection.addEventListener("state", look);
  document.addEventListener("visibilitychange", look);
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let soon;
  let asked = -Infinity;
  const lookSoon = () => {
    const wait = Math.max(GATHER, asked + REST - performance.now());
    soon ??= setTimeout(() => {
      soon = undefined;
      asked = performance.now();
      look();
    }, wait);
  };
  const offs = events.map((name) => connection.on(name, lookSoon));
  const timer = every ? setInterval(look, every) : undefined;
  return () => {
    clearInterval(timer);
    clearTimeout(soon);
    for (const off of offs) off();
    connection.removeEventListener("state", look);
    document.removeEventListener("visibilitychange", look);
  };
}

/** @param {string} text */
function notice(text) {
  return h("p", { class: "aside", role: "status" }, text);
}

/**
 * An error with a button to try again.
 * @param {unknown} error
 * @param {() => unknown} again
 */
function failure(error, again) {
  return emptyState(
    t("panels.failed"),
    tError(error),
    button(t("panels.retry"), { icon: "retry", onClick: again }),
    "alert",
  );
}

/**
 * Runs the action of a button or dialog, and shows its outcome.
 * @template T
 * @param {App} app
 * @param {() => Promise<T>} action
 * @param {(found: T) => string | null} done the sentence to show on success
 * @returns {Promise<boolean>} whether it succeeded
 */
export async function attempt(app, action, done) {
  try {
    const said = done(await action());
    if (said !== null) app.toast(said, "success");
    return true;
  } catch (error) {
    app.toast(tError(error), "error");
    return false;
  }
}

/**
 * Runs `change` on the content of `node` and restores the focus afterwards, by `data-key`: an item, a line end, and a
 * part of it. If that element is gone, another part of the item gets the focus, or else `node`, so that Tab continues
 * from there.
 * @param {HTMLElement} node
 * @param {() => void} change
 */
export function keepFocus(node, change) {
  const active = document.activeElement;
  const within = active instanceof HTMLElement && active !== node && node.contains(active) ? active : null;
  const key = within?.dataset.key;
  change();
  if (!within || node.contains(document.activeElement)) return;
  const [item, what] = key?.split("\n") ?? [];
  const all = key ? node.querySelectorAll(`[data-key^="${CSS.escape(item)}\\a "]`) : [];
  const near = /** @type {HTMLElement[]} */ ([...all]);
  const again = near.find((each) => each.dataset.key === `${item}\n${what}`) ?? near[0];
  if (!again) node.tabIndex = -1;
  (again ?? node).focus({ preventScroll: true });
}
