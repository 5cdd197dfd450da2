// @ts-check
/** What the list of conversations does not need, loaded after it. All other views wait for this. */

import { announce, confirm, prepareNotices, toast } from "./dialogs.js";
import { ask } from "./http.js";
import { t } from "./i18n.js";
import { Invitations } from "./invitations.js";
import { watchRescues } from "./rescues.js";
import { watchListKeys } from "./listkeys.js";
import { Log } from "./log.js";
import { Marks } from "./marks.js";
import { watchMessages } from "./notify.js";
import { Outbox } from "./outbox.js";
import { withUnsent } from "./views/unsent.js";
import { lookForUpdate } from "./worker.js";

/** @import { App, Line } from "./types.js" */

/** Gives the app its log, outbox, invitations, toasts, announcements and `signOut`. @param {App} app */
export function makeDeferred(app) {
  const { connection, store } = app;
  store.marks = new Marks(connection);
  const log = new Log(connection, store);
  const outbox = new Outbox(connection, log);
  const follow = () => (store.me ? outbox.start(store.me.username) : outbox.stop());
  Object.assign(app, {
    log,
    outbox,
    withUnsent: (/** @type {Line[]} */ known) => withUnsent(app, known),
    toast,
    announce,
    signOut: (/** @type {{everywhere?: boolean}} */ options) => signOut(app, options),
  });
  app.invitations = new Invitations(app);
  watchRescues(app);
  app.invitations.on("change", () => store.emit("invitations"));
  prepareNotices();
  document.addEventListener("keydown", (event) => shortcuts(app, event));
  watchMessages(app);
  watchListKeys();
  store.on("me", follow);
  follow();
  connection.addEventListener("state", () => {
    // The realm may have come back as another version.
    if (connection.state === "open") void lookForUpdate();
  });
  store.emit("outbox");
}

/** @param {App} app @param {{everywhere?: boolean}} [options] */
async function signOut(app, { everywhere = false } = {}) {
  const unsent = app.outbox.entries().length;
  if (unsent > 0) {
    const sure = await confirm({
      title: t("out.unsent.title"),
      text: t("out.unsent", { n: unsent }),
      action: t("out.anyway"),
      danger: true,
    });
    if (!sure) return false;
  }
  app.leaving = true;
  try {
    await ask("DELETE", everywhere ? "/session?everywhere=true" : "/session");
  } catch (error) {
    app.leaving = false;
    throw error;
  }
  app.outbox.clear();
  app.leave("", "#/");
  return true;
}

/** Ctrl K searches. @param {App} app @param {KeyboardEvent} event */
function shortcuts(app, event) {
  if (!app.session?.account || event.defaultPrevented || event.altKey || event.shiftKey) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    app.router.go("#/search");
  }
}
