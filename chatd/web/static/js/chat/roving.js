// @ts-check
/** Keys that move from message to message: each has one button, which opens its menu. */

/**
 * Moves the focus as a key asks. From outside of the messages it goes to the last one in sight.
 * @param {HTMLElement} list
 * @param {number} bottom the lower edge of what is in sight, in px from the window's top
 * @param {KeyboardEvent} event
 * @returns {boolean} whether the key was one of these
 */
export function moveFocus(list, bottom, event) {
  if (event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return false;
  const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
  if (step === undefined) return false;
  const buttons = /** @type {HTMLElement[]} */ ([...list.querySelectorAll(".message-more")]);
  const row = /** @type {HTMLElement} */ (event.target).closest(".message");
  const here = row ? buttons.findIndex((each) => row.contains(each)) : -1;
  const inSight = () => buttons.findLastIndex((each) => each.getBoundingClientRect().bottom <= bottom);
  const next = buttons[here < 0 ? inSight() : here + step];
  if (!next) return false;
  next.focus({ preventScroll: true });
  next.closest(".message")?.scrollIntoView({ block: "nearest" });
  return true;
}
