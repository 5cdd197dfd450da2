// @ts-check
/** Keys that move in the list of conversations. */

/** Listens from now on, also to lists that are made later. */
export function watchListKeys() {
  document.addEventListener("keydown", (event) => {
    const list = event.target instanceof Element && event.target.closest(".conversations");
    if (list) moveFocus(list, event);
  });
}

/**
 * Arrow up and down move from row to row, in addition to Tab.
 * @param {Element} list
 * @param {KeyboardEvent} event
 */
function moveFocus(list, event) {
  const links = [...list.querySelectorAll("a")];
  const at = links.findIndex((link) => link === document.activeElement);
  const steps = /** @type {Record<string, number>} */ ({
    ArrowDown: at + 1,
    ArrowUp: at - 1,
    Home: 0,
    End: links.length - 1,
  });
  const link = event.key in steps ? links[steps[event.key]] : undefined;
  if (!link) return;
  event.preventDefault();
  link.focus();
}
