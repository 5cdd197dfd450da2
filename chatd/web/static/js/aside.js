// @ts-check
/** What no page waits for: following the system's theme, the offer to install, the service worker. */

import { watchInstall } from "./install.js";
import { watchTheme } from "./theme.js";
import { startWorker } from "./worker.js";

/** @param {import("./router.js").Router} router */
export function startAside(router) {
  watchTheme();
  watchInstall();
  startWorker((hash) => router.go(hash));
}
