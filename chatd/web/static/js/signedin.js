// @ts-check
/** What the page needs only after a login: the link, the store, and the list of conversations. */

import { Connection } from "./connection.js";
import { Store } from "./store.js";
import { setUnread } from "./title.js";

export { conversationList } from "./views/list.js";

/** @import { App } from "./types.js" */

/**
 * Gives the app its connection and store.
 * @param {App} app
 * @param {(reason: string) => void} ended called when the session ends, with the reason in English
 */
export function makeSignedIn(app, ended) {
  const connection = new Connection();
  const store = new Store(connection);
  const count = () => setUnread(store.totalUnread());
  store.on("conversations", count);
  store.on("me", count);
  connection.addEventListener("ended", (event) => ended(/** @type {CustomEvent} */ (event).detail));
  Object.assign(app, { connection, store });
}
