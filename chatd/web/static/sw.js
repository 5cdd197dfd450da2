// @ts-check
/**
 * Keeps the page itself, so that it opens at once, and without its realm. Nothing that anybody wrote is kept.
 *
 * The server puts two lines before this file: `const VERSION = "…"` and `const SHELL = ["/", "/static/…", …]`.
 * When anything of the shell changes, VERSION does, and the browser installs this anew. What is below /static/
 * comes from this version's cache; "/" from the realm as long as it answers in time. Nothing else is touched.
 */

const scope = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
const PREFIX = "chatd-";
// @ts-expect-error: VERSION stands in the server's lines
const CACHE = PREFIX + VERSION;
// @ts-expect-error: SHELL stands in the server's lines
const ADDRESSES = /** @type {string[]} */ (SHELL);
const PATIENCE = 3000; // ms

scope.addEventListener("install", (event) => event.waitUntil(install()));
scope.addEventListener("activate", (event) => event.waitUntil(activate()));
scope.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== scope.location.origin) return;
  if (url.pathname === "/") event.respondWith(fromRealm(request));
  else if (ADDRESSES.includes(url.pathname)) event.respondWith(fromCache(request, url.pathname));
});
scope.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(open(String(event.notification.data?.hash ?? "#/")));
});

async function install() {
  const cache = await caches.open(CACHE);
  await cache.addAll(ADDRESSES.map((address) => new Request(address, { cache: "no-cache" })));
  await scope.skipWaiting();
}

/** The page that is open is told by the change of controller, and loads itself anew at its next step. */
async function activate() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== CACHE).map((name) => caches.delete(name)));
  await scope.clients.claim();
}

/**
 * @param {Request} request
 * @param {string} address
 */
async function fromCache(request, address) {
  const cache = await caches.open(CACHE);
  return (await cache.match(address)) ?? fetch(request);
}

/**
 * The page from the realm, or as it was, if that does not answer.
 * @param {Request} request
 */
async function fromRealm(request) {
  const gone = new AbortController();
  const timer = setTimeout(() => gone.abort(), PATIENCE);
  try {
    const answer = await fetch(request, { signal: gone.signal });
    if (answer.status < 500) return answer;
  } catch {
    // Not reached, or not in time.
  } finally {
    clearTimeout(timer);
  }
  const cache = await caches.open(CACHE);
  return (await cache.match("/")) ?? fetch(request);
}

/**
 * A tab that is there comes to the front; without one a new one is opened.
 * @param {string} hash
 */
async function open(hash) {
  const found = await scope.clients.matchAll({ type: "window", includeUncontrolled: true });
  const client = found.find((each) => each.visibilityState === "visible") ?? found[0];
  if (!client) {
    await scope.clients.openWindow(`/${hash}`);
    return;
  }
  client.postMessage({ open: hash });
  await client.focus();
}
