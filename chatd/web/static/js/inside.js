// @ts-check
/** What there is only for who is logged in: the link, what is known by it, and the list of conversations. */

import { Connection } from "./connection.js";
import { Store } from "./store.js";
import { setUnread } from "./title.js";

export { conversationList } from "./views/list.js";

/** @import { App } from "./types.js" */

/**
 * Gives the app its connection and store.
 * @param {App} app
 * @param {(reason: string) => void} ended the session is over; why, in English
 */
export function makeInside(app, ended) {
  const connection = new Connection();
  const store = new Store(connection);
  const count = () => setUnread(store.totalUnread());
  store.on("conversations", count);
  store.on("me", count);
  connection.addEventListener("ended", (event) => ended(/** @type {CustomEvent} */ (event).detail));
  Object.assign(app, { connection, store });
}
