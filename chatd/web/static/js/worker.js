// @ts-check
/** Registers the service worker (sw.js), which caches the page. */

const URL_OF_IT = "/sw.js";

/** @type {Promise<ServiceWorkerRegistration> | null} */
let registering = null;

/** The registration of the active service worker, or null if there is none. */
export async function worker() {
  const found = await registering?.catch(() => null);
  return found?.active ? found : null;
}

/** @param {(hash: string) => void} onOpen called when a notification is clicked */
export function startWorker(onOpen) {
  const container = navigator.serviceWorker;
  if (!container) return; // there is one only over https or on localhost
  container.addEventListener("message", (event) => {
    if (typeof event.data?.open === "string") onOpen(event.data.open);
  });
  registering = container.register(/** @type {string} */ (trusted(URL_OF_IT)));
  registering.catch(() => {}); // the page works without
}

/** Checks for a new version, as after the realm was down. */
export async function lookForUpdate() {
  await (await worker())?.update().catch(() => {});
}

/**
 * The address of the service worker as a TrustedScriptURL, where the browser has Trusted Types.
 * @param {string} url
 */
function trusted(url) {
  const factory = /** @type {any} */ (globalThis).trustedTypes;
  if (!factory) return url;
  const policy = factory.createPolicy("chatd", {
    createScriptURL(/** @type {string} */ wanted) {
      if (wanted !== URL_OF_IT) throw new TypeError(`${wanted} is no script of this page`);
      return wanted;
    },
  });
  return policy.createScriptURL(url);
}
