// @ts-check
/** The page as an app of its own, where the browser offers that. It does so once, maybe early: early.js listens. */

/** @typedef {Event & {prompt: () => Promise<{outcome: "accepted" | "dismissed"}>}} InstallEvent */

/** @type {InstallEvent | null} */
let offer = null;
const changes = new EventTarget();

/** Keeps the browser's offer until somebody wants it. */
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

/** Whether this is the app already. */
export function isInstalled() {
  return matchMedia("(display-mode: standalone), (display-mode: window-controls-overlay)").matches;
}

/** Asks the browser to install the page; whether it was. @returns {Promise<boolean>} */
export async function install() {
  const found = offer;
  if (!found) return false;
  take(null); // an offer is good for one try
  return (await found.prompt()).outcome === "accepted";
}

/**
 * @param {() => void} listener called when there is an offer, or none any longer
 * @returns {() => void} ends that
 */
export function onInstallable(listener) {
  changes.addEventListener("change", listener);
  return () => changes.removeEventListener("change", listener);
}
