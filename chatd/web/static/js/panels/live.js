// @ts-check
/**
 * A part of a page that shows what the realm answers, and keeps it fresh: when the link comes back, when
 * the page is shown again, and every so often while it is looked at.
 */

import { fill, h } from "../dom.js";
import { ChatError } from "../errors.js";
import { t, tError } from "../i18n.js";
import { button, emptyState } from "../ui.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {import("../dom.js").Child} Child */

/**
 * @template T
 * @typedef {object} Source
 * @property {() => Promise<T>} load asks for what is to be shown
 * @property {(found: T) => Child[]} show what it looks like
 * @property {number} [every] ms after which it is asked for again; left out, not by itself
 * @property {(error: unknown) => HTMLElement | null} [failed] what to show instead of what there mostly is
 */

const PATIENCE = 300; // ms without an answer after which it is said that something is loading
const LATER = 500; // ms until it is looked again whether a dialog is still open

/**
 * @template T
 * @param {App} app
 * @param {Source<T>} source
 */
export function live(app, source) {
  return new Live(app, source);
}

/**
 * Its `node` goes into the page.
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
  #waiting = setTimeout(() => fill(this.node, aside(t("panels.loading"))), PATIENCE);
  #source;
  #stop;

  /**
   * @param {App} app
   * @param {Source<T>} source
   */
  constructor(app, source) {
    this.#source = source;
    this.#stop = whenWorthIt(app, () => void this.refresh(), source.every);
    void this.refresh();
  }

  /** Asks now. */
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

  /** Shows once more what is known. */
  redraw() {
    clearTimeout(this.#later);
    const found = this.#known;
    if (found === undefined || this.#gone) return;
    if (document.querySelector("dialog[open]")) {
      // When the dialog closes, the focus goes back to the button that opened it: let that stay until then.
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
    // What was known is better than nothing, and it is asked again soon, or when the link is back.
    if (!instead && this.#known !== undefined) return;
    this.#known = undefined;
    this.#shown = "";
    fill(this.node, instead || (refused ? trouble(error, () => this.refresh()) : aside(t("panels.offline"))));
  }
}

/**
 * Calls `ask` when the link comes back, when the page is shown again, and every so often while both are there.
 * @param {App} app
 * @param {() => void} ask
 * @param {number} [every] ms
 * @returns {() => void} ends that
 */
function whenWorthIt(app, ask, every) {
  const { connection } = app;
  const look = () => {
    if (!document.hidden && connection.state === "open") ask();
  };
  connection.addEventListener("state", look);
  document.addEventListener("visibilitychange", look);
  const timer = every ? setInterval(look, every) : undefined;
  return () => {
    clearInterval(timer);
    connection.removeEventListener("state", look);
    document.removeEventListener("visibilitychange", look);
  };
}

/** @param {string} text */
function aside(text) {
  return h("p", { class: "aside", role: "status" }, text);
}

/**
 * Why there is nothing to see, and a way on.
 * @param {unknown} error
 * @param {() => unknown} again
 */
function trouble(error, again) {
  return emptyState(
    t("panels.failed"),
    tError(error),
    button(t("panels.retry"), { icon: "retry", onClick: again }),
    "alert",
  );
}

/**
 * Does something that a button or a dialog asked for, and tells what came of it.
 * @template T
 * @param {App} app
 * @param {() => Promise<T>} action
 * @param {(found: T) => string | null} done what to tell then
 * @returns {Promise<boolean>} whether it was done
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
 * Does `change` to what stands in `node`; who had the focus has it afterwards, by its `data-key`: an item, a
 * line end, and what of it. If that is gone, what else there is of the item takes it, or else all of `node`,
 * so that Tab goes on from there.
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
