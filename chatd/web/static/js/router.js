// @ts-check
/**
 * Hash routes. A view's module, style sheets and texts are loaded when it is first opened.
 */

import { needTexts } from "./i18n.js";

/** @import { App, View } from "./types.js" */
/** @typedef {Record<string, string>} Params */
/** @typedef {(app: App, params: Params) => View} MakeView */

/**
 * @typedef {object} Route
 * @property {string} name also the name of the module in views/
 * @property {RegExp} pattern of what comes after `#/`; its groups are the view's params
 * @property {string[]} [needs] blocks of texts, and style sheets
 * @property {boolean} [outside] whether it is for people who are not logged in
 * @property {boolean} [anyone] whether it is also for people who are logged in
 */

const OUTSIDE = ["outside", "more", "errors", "forms"];
/** The names in `needs` that are style sheets, and those that are texts. */
const STYLES = new Set(["chat", "message", "panels", "forms", "outside"]);
const TEXTS = new Set(["chat", "panels", "settings", "outside", "more", "errors"]);

/** @type {Route[]} */
export const ROUTES = [
  { name: "home", pattern: /^$/ },
  { name: "login", pattern: /^login$/, outside: true, needs: OUTSIDE },
  { name: "register", pattern: /^register(?:\/(?<secret>[^/]+))?$/, outside: true, needs: OUTSIDE },
  { name: "reset", pattern: /^reset(?:\/(?<secret>[^/]+))?$/, outside: true, anyone: true, needs: OUTSIDE },
  { name: "chat", pattern: /^u\/(?<user>[^/]+)$/, needs: ["chat", "message"] },
  { name: "chat", pattern: /^g\/(?<group>[^/]+)$/, needs: ["chat", "message"] },
  { name: "members", pattern: /^g\/(?<group>[^/]+)\/members$/, needs: ["panels"] },
  { name: "newchat", pattern: /^new$/, needs: ["panels"] },
  { name: "join", pattern: /^join\/(?<code>[^/]+)$/, needs: ["panels"] },
  { name: "groups", pattern: /^groups$/, needs: ["panels"] },
  { name: "contacts", pattern: /^contacts$/, needs: ["panels"] },
  { name: "rooms", pattern: /^rooms$/, needs: ["panels"] },
  { name: "room", pattern: /^room\/(?<name>[^/]+)$/, needs: ["panels"] },
  { name: "realms", pattern: /^realms$/, needs: ["panels"] },
  { name: "files", pattern: /^files$/, needs: ["panels", "chat"] },
  { name: "search", pattern: /^search$/, needs: ["panels"] },
  { name: "settings", pattern: /^settings$/, needs: ["panels", "settings"] },
];

/** @typedef {{route: Route, params: Params, hash: string}} Found */

/** The route of a hash, or null. @param {string} hash @returns {Found | null} */
export function match(hash) {
  const path = hash.replace(/^#?\/?/, "").split("?")[0];
  for (const route of ROUTES) {
    const found = route.pattern.exec(path);
    if (!found) continue;
    try {
      const given = Object.entries(found.groups ?? {}).filter(([, text]) => text !== undefined);
      const params = Object.fromEntries(given.map(([key, text]) => [key, decodeURIComponent(text)]));
      return { route, params, hash: `#/${params.secret === undefined ? path : route.name}` };
    } catch {
      return null; // a stray percent sign
    }
  }
  return null;
}

/**
 * The secret of the link that has opened a route: the code of an invitation, or a token. It is kept for this tab,
 * so that it survives a reload.
 * @param {string} name of the route
 * @param {string} [secret] the new one; empty forgets it
 * @returns {string} empty if there is none
 */
export function linkSecret(name, secret) {
  try {
    if (secret !== undefined) sessionStorage.setItem(`chatd.link.${name}`, secret);
    return sessionStorage.getItem(`chatd.link.${name}`) ?? "";
  } catch {
    if (secret !== undefined) secrets.set(name, secret); // storage is forbidden
    return secrets.get(name) ?? "";
  }
}

/** @type {Map<string, string>} */
const secrets = new Map();

/** A name, encoded for a hash. @param {string} name */
export function segment(name) {
  return encodeURIComponent(name).replaceAll("%40", "@");
}

/** The hash of a conversation: `#/u/henderson@realm2`. @param {{kind: "u" | "g", name: string}} place */
export function hashOf(place) {
  return `#/${place.kind}/${segment(place.name)}`;
}

export class Router {
  /** @type {Found | null} the route that is shown or being loaded */
  current = null;
  /** True if the page is older than its realm: it reloads at the next navigation. */
  stale = false;
  #hooks;
  #steps = 0;

  /**
   * @param {{
   *   allowed: (found: Found) => string | null,
   *   ready: (found: Found) => Promise<void> | null,
   *   show: (view: View, found: Found) => void,
   *   failed: (error: unknown) => void,
   *   app: () => App,
   * }} hooks `allowed` returns another hash to go to instead, or null; `ready` is awaited
   */
  constructor(hooks) {
    this.#hooks = hooks;
  }

  start() {
    // A join link has its code in the path.
    const [, code] = /^\/join\/([^/]+)$/.exec(location.pathname) ?? [];
    if (code !== undefined) history.replaceState(null, "", `/#/join/${code}`);
    window.addEventListener("hashchange", () => void this.#arrive());
    return this.#arrive();
  }

  /**
   * @param {string} hash
   * @param {{replace?: boolean}} [options] `replace`: without an entry in the browser's history
   */
  go(hash, { replace = false } = {}) {
    if (replace) {
      history.replaceState(null, "", hash);
      void this.#arrive();
    } else if (location.hash === hash) {
      void this.#arrive();
    } else {
      location.hash = hash;
    }
  }

  /** Makes the current view again, as after a change of language. */
  refresh() {
    return this.#arrive();
  }

  async #arrive() {
    const found = match(location.hash) ?? match("#/");
    if (!found) return;
    if (found.params.secret !== undefined) {
      // It must not stay in the address bar or in the browser's history.
      linkSecret(found.route.name, found.params.secret);
      history.replaceState(null, "", found.hash);
    }
    const instead = this.#hooks.allowed(found);
    if (instead !== null) return this.go(instead, { replace: true });
    if (this.stale && this.current && mayReload()) return location.reload();
    this.#steps += 1;
    const step = this.#steps;
    this.current = found;
    try {
      const view = await this.#make(found);
      if (step !== this.#steps) return; // the user has navigated on
      this.#hooks.show(view(), found);
    } catch (error) {
      if (step === this.#steps) this.#hooks.failed(error);
    }
  }

  /** @param {Found} found @returns {Promise<() => View>} */
  async #make(found) {
    const { route, params } = found;
    const needs = route.needs ?? [];
    const [module] = await Promise.all([
      import(`./views/${route.name}.js`),
      needTexts(...needs.filter((each) => TEXTS.has(each))),
      this.#hooks.ready(found),
      ...needs.filter((each) => STYLES.has(each)).map(needStyles),
    ]);
    return () => /** @type {MakeView} */ (module.view)(this.#hooks.app(), params);
  }
}

/** Whether a reload would lose nothing, such as an upload in progress. */
function mayReload() {
  return dispatchEvent(new Event("beforeunload", { cancelable: true }));
}

/** @type {Map<string, Promise<void>>} */
const styles = new Map();

/** Loads a style sheet once. @param {string} name @returns {Promise<void>} */
export function needStyles(name) {
  const known = styles.get(name);
  if (known) return known;
  /** @type {Promise<void>} */
  const loading = new Promise((resolve, reject) => {
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = `/static/css/${name}.css`;
    link.onload = () => resolve();
    link.onerror = () => {
      styles.delete(name);
      link.remove();
      reject(new Error(`${link.href} could not be loaded`));
    };
    document.head.append(link);
  });
  styles.set(name, loading);
  return loading;
}
