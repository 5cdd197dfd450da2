// @ts-check
/** Tells of groups whose realm is lost and that go on in another one. */

import { t } from "./i18n.js";

/** @import { App } from "./types.js" */

const STATES = ["pending", "moved", "void"];

/** Shows a note for each such event, and what the list of conversations says of it. @param {App} app */
export function watchRescues(app) {
  app.connection.on("rescue", (event) => {
    if (!STATES.includes(event.state)) return;
    app.toast(t(`rescue.${event.state}`, { was: event.was, to: event.to }));
    void app.store.refresh();
  });
}
