// @ts-check
/**
 * The service worker. It caches the page, so that it opens at once, and offline. It caches no messages or files.
 *
 * The server puts two lines before this file: `const VERSION = "…"` and `const SHELL = ["/", "/static/…", …]`.
 * VERSION changes with any file of the shell, and the browser then installs this script again. Files below /static/
 * come from this version's cache, and "/" from the realm if it answers in time. Other requests are left alone.
 */

const scope = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
const PREFIX = "chatd-";
// @ts-expect-error: VERSION is in the server's lines
const CACHE = PREFIX + VERSION;
// @ts-expect-error: SHELL is in the server's lines
const ADDRESSES = /** @type {string[]} */ (SHELL);
const TIMEOUT = 3000; // ms
/** Answers below 500 with which proxies say that no realm is behind them, or that they have too much to do. */
const AWAY = new Set([404, 408, 425, 429]);

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

/** An open page notices the change of controller and reloads at its next navigation. */
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
 * The page from the realm, or from the cache if the realm does not answer.
 * @param {Request} request
 */
async function fromRealm(request) {
  const gone = new AbortController();
  const timer = setTimeout(() => gone.abort(), TIMEOUT);
  try {
    const answer = await fetch(request, { signal: gone.signal });
    if (answer.status < 500 && !AWAY.has(answer.status)) return answer;
  } catch {
    // Not reached, or too late.
  } finally {
    clearTimeout(timer);
  }
  const cache = await caches.open(CACHE);
  return (await cache.match("/")) ?? fetch(request);
}

/**
 * Brings an open tab to the front, or opens a new one.
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
