// @ts-check
/** Installing the page as an app, where the browser offers it. The offer comes once, maybe before this: see early.js. */

/** @typedef {Event & {prompt: () => Promise<{outcome: "accepted" | "dismissed"}>}} InstallEvent */

/** @type {InstallEvent | null} */
let offer = null;
const changes = new EventTarget();

/** Keeps the browser's offer for later. */
export function watchInstall() {
  take(/** @type {any} */ (window).installOffer ?? null);
  window.addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault(); // no banner: settings has a button
    take(/** @type {InstallEvent} */ (event));
  });
  window.addEventListener("appinstalled", () => take(null));
}

/** @param {InstallEvent | null} found */
function take(found) {
  offer = found;
  changes.dispatchEvent(new Event("change"));
}

export function canInstall() {
  return offer !== null;
}

/** Whether the page runs as the installed app. */
export function isInstalled() {
  return matchMedia("(display-mode: standalone), (display-mode: window-controls-overlay)").matches;
}

/** Asks the browser to install the page. Resolves to whether it did. @returns {Promise<boolean>} */
export async function install() {
  const found = offer;
  if (!found) return false;
  take(null); // an offer can be used once
  return (await found.prompt()).outcome === "accepted";
}

/**
 * @param {() => void} listener called when an offer comes or goes
 * @returns {() => void} ends that
 */
export function onInstallable(listener) {
  changes.addEventListener("change", listener);
  return () => changes.removeEventListener("change", listener);
}
