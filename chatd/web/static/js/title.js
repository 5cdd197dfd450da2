// @ts-check
/** The page's title, with the number of unread messages in front. */

let title = "chatd";
let unread = 0;

/** @param {string} text without that number */
export function setTitle(text) {
  title = text;
  document.title = unread > 0 ? `(${unread}) ${title}` : title;
}

/** @param {number} n */
export function setUnread(n) {
  if (n === unread) return;
  unread = n;
  setTitle(title);
  const badge = n > 0 ? navigator.setAppBadge?.(n) : navigator.clearAppBadge?.();
  badge?.catch(() => {}); // optional
}
