// @ts-check
/** Starts what no page waits for: following the system's theme, the offer to install, the service worker. */

import { watchInstall } from "./install.js";
import { watchTheme } from "./theme.js";
import { startWorker } from "./worker.js";

/** @param {import("./router.js").Router} router */
export function startIdle(router) {
  watchTheme();
  watchInstall();
  startWorker((hash) => router.go(hash));
}
