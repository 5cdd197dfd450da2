// @ts-check
/**
 * The page's entry point: who is logged in, which views they may see, and what happens when the session ends.
 *
 * To keep the first page light, the code is loaded in steps: this module with the frame; signedin.js after a
 * login; deferred.js with what the list of conversations does not need; idle.js at the end.
 */

import { h } from "./dom.js";
import { session as askSession } from "./http.js";
import { language, needTexts, preferredLanguage, setLanguage, t } from "./i18n.js";
import { button, emptyState } from "./parts.js";
import { linkSecret, needStyles, Router } from "./router.js";
import { Shell } from "./shell.js";
import { setTitle } from "./title.js";

/** @import { App, Session } from "./types.js" */
/** @import { Found } from "./router.js" */

const FIRST_PAUSE = 1000; // ms until a realm that did not answer is asked again at most; it doubles each time
const MAX_PAUSE = 5000;
const LATER = 800; // ms after the first page is shown
const MUCH_LATER = 2000; // ms: the service worker fetches all files, and nothing should wait for that

/** @type {Promise<void> | null} */
let deferred = null;

const router = new Router({
  app: () => app,
  allowed: ({ route, hash }) => {
    if (route.anyone && linkSecret(route.name)) return null;
    if (route.outside) return app.session?.account ? (note("wanted") ?? "#/") : null;
    if (app.session?.account) return null;
    note("wanted", hash);
    return "#/login";
  },
  ready: ({ route }) => (route.outside || route.name === "home" ? null : loadDeferred()),
  show: (view, found) => {
    shell.show(view, found);
    // If this fails, the next view tries again.
    if (!found.route.outside) setTimeout(() => loadDeferred().catch(() => {}), LATER);
  },
  failed,
});

const app = /** @type {App} */ ({ session: null, router, setTitle, enter, leave, changeLanguage, why: () => note("why") });

let controlled = Boolean(navigator.serviceWorker?.controller);
navigator.serviceWorker?.addEventListener("controllerchange", () => {
  // From now on modules would be of another version than this page.
  router.stale = controlled;
  controlled = true;
});
await setLanguage(preferredLanguage(), { remember: false });
const shell = new Shell(app, /** @type {HTMLElement} */ (document.getElementById("app")));
document.addEventListener("visibilitychange", () => void checkSession());
await begin(await firstSession()).then(() => router.start(), failed);
setTimeout(startIdleTasks, MUCH_LATER);

/** Loads idle.js. Tries again if the realm is down. */
async function startIdleTasks() {
  try {
    (await import("./idle.js")).startIdle(router);
  } catch {
    setTimeout(startIdleTasks, MAX_PAUSE);
  }
}

/** The session. Asks until the realm answers. @returns {Promise<Session>} */
async function firstSession() {
  for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, MAX_PAUSE)) {
    try {
      const session = await askSession();
      shell.setBar(null);
      return session;
    } catch {
      shell.showTrouble(troublePage(t("app.waiting"), t("app.waiting.hint")));
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, pause * (0.5 + Math.random() / 2));
        shell.setBar(() => {
          clearTimeout(timer);
          resolve(null);
        });
      });
    }
  }
}

/** @param {Session} session */
async function begin(session) {
  if (!session.account) {
    app.session = session;
    return;
  }
  if (!app.store) {
    const { makeSignedIn, conversationList } = await import("./signedin.js");
    makeSignedIn(app, (reason) => {
      if (!app.leaving) leave(reason && language() === "en" ? `${reason}.` : t("app.ended"), router.current?.hash);
    });
    shell.inside(conversationList);
  }
  app.session = session;
  app.leaving = false;
  note("why", "");
  app.store.begin(session);
  app.connection.open(session.account.username);
}

function loadDeferred() {
  deferred ??= Promise.all([import("./deferred.js"), needTexts("more", "errors"), needStyles("forms")]).then(
    ([{ makeDeferred }]) => makeDeferred(app),
    (error) => {
      deferred = null;
      throw error;
    },
  );
  return deferred;
}

/** After a login. @param {Session} session */
async function enter(session) {
  await begin(session);
  const hash = note("wanted") ?? "#/";
  note("wanted", "");
  router.go(hash, { replace: true });
}

/**
 * After the end of the session. Unsent texts stay for the next login.
 * @param {string} reason a sentence, or empty if the user logged out
 * @param {string} [back] the hash to go to after the next login
 */
function leave(reason, back = "#/") {
  if (!app.session?.account) return;
  note("wanted", back);
  note("why", reason);
  app.connection.close();
  app.session = { ...app.session, account: null };
  app.store.end();
  router.go("#/login", { replace: true });
}

/**
 * A note that outlives a reload of the page: the hash that was wanted before the login, or why the session ended.
 * @param {"wanted" | "why"} name
 * @param {string} [text] the new value; empty forgets it
 * @returns {string | null}
 */
function note(name, text) {
  try {
    if (text !== undefined) sessionStorage.setItem(`chatd.${name}`, text);
    return sessionStorage.getItem(`chatd.${name}`) || null;
  } catch {
    return null; // storage is forbidden
  }
}

/** When the login page is shown again: the user may have logged in in another tab. */
async function checkSession() {
  if (document.hidden || !app.session || app.session.account) return;
  const session = await askSession().catch(() => null);
  if (session?.account && !app.session.account) await enter(session);
}

/** @param {import("./i18n.js").Language} language */
async function changeLanguage(language) {
  await setLanguage(language);
  shell.words();
  await router.refresh();
}

/** A view could not be loaded or made. If the link is down, that is the reason. @param {unknown} error */
function failed(error) {
  const again = button(t("app.reload"), { kind: "primary", onClick: () => location.reload() });
  shell.showTrouble(troublePage(t("app.not-shown"), t("app.not-shown.hint"), again));
  const link = app.connection;
  if (app.session?.account && link.state !== "open") {
    link.addEventListener("state", () => link.state === "open" && again.isConnected && location.reload());
  } else {
    reportError(error);
  }
}

/** @param {string} title @param {string} hint @param {HTMLElement} [action] */
function troublePage(title, hint, action) {
  const heading = h("h1", { class: "visually-hidden", tabindex: -1 }, title);
  return h("div", { class: "home" }, heading, emptyState(title, hint, action, action ? "alert" : "chats"));
}
