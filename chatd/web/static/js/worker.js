// @ts-check
/** The service worker, which keeps the page itself for when the realm can't be reached. */

const URL_OF_IT = "/sw.js";

/** @type {Promise<ServiceWorkerRegistration> | null} */
let registering = null;

/** Its registration once it is at work, or null where there is none. */
export async function worker() {
  const found = await registering?.catch(() => null);
  return found?.active ? found : null;
}

/** @param {(hash: string) => void} onOpen somebody has pressed a notification */
export function startWorker(onOpen) {
  const container = navigator.serviceWorker;
  if (!container) return; // only where the page came securely, or from this machine
  container.addEventListener("message", (event) => {
    if (typeof event.data?.open === "string") onOpen(event.data.open);
  });
  registering = container.register(/** @type {string} */ (trusted(URL_OF_IT)));
  registering.catch(() => {}); // the page works without
}

/** Looks whether there is a new version, as when the realm has been away. */
export async function lookForUpdate() {
  await (await worker())?.update().catch(() => {});
}

/**
 * The one address of a script that the page vouches for, where the browser asks it to.
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
