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

/**
 * @typedef {object} Live
 * @property {HTMLElement} node
 * @property {() => Promise<void>} refresh asks now
 * @property {() => void} redraw shows once more what is known
 * @property {() => void} destroy
 */

const PATIENCE = 300; // ms without an answer after which it is said that something is loading

/**
 * @template T
 * @param {App} app
 * @param {Source<T>} source
 * @returns {Live}
 */
export function live(app, { load, show, every, failed }) {
  const node = h("div", { class: "live", "aria-busy": true });
  /** @type {T | undefined} */
  let known;
  let shown = "";
  let asked = 0;
  let gone = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let later;

  const waiting = setTimeout(() => fill(node, aside(t("panels.loading"))), PATIENCE);

  const redraw = () => {
    clearTimeout(later);
    if (known === undefined || gone) return;
    if (document.querySelector("dialog[open]")) {
      // When the dialog closes, the focus goes back to the button that opened it: let that stay until then.
      later = setTimeout(redraw, 500);
      return;
    }
    const found = known;
    shown = JSON.stringify(found);
    keepFocus(node, () => fill(node, ...show(found)));
  };

  const refresh = async () => {
    asked += 1;
    const turn = asked;
    try {
      const found = await load();
      if (gone || turn !== asked) return;
      known = found;
      if (JSON.stringify(found) !== shown) redraw();
    } catch (error) {
      if (gone || turn !== asked) return;
      if (!(error instanceof ChatError)) {
        // The link went: what was known is better than nothing, and it is asked again when that is back.
        if (known === undefined) fill(node, aside(t("panels.offline")));
      } else if (known === undefined || failed) {
        known = undefined;
        shown = "";
        fill(node, failed?.(error) ?? trouble(error, refresh));
      }
    }
    clearTimeout(waiting);
    node.removeAttribute("aria-busy");
  };

  const onLink = () => {
    if (app.connection.state === "open") void refresh();
  };
  const onSeen = () => {
    if (!document.hidden) void refresh();
  };
  const onTime = () => {
    if (!document.hidden && app.connection.state === "open") void refresh();
  };
  app.connection.addEventListener("state", onLink);
  document.addEventListener("visibilitychange", onSeen);
  const timer = every ? setInterval(onTime, every) : undefined;
  void refresh();

  return {
    node,
    refresh,
    redraw,
    destroy() {
      gone = true;
      clearTimeout(waiting);
      clearTimeout(later);
      clearInterval(timer);
      app.connection.removeEventListener("state", onLink);
      document.removeEventListener("visibilitychange", onSeen);
    },
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
  return emptyState(t("panels.failed"), tError(error), button(t("panels.retry"), { icon: "retry", onClick: again }), "alert");
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
