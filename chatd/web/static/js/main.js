// @ts-check
/**
 * Puts the page together: who is logged in, what they may see, and what happens when that ends.
 *
 * It comes in three parts, so that the first page is light: this one, with the frame; inside.js once one is
 * logged in; later.js for what the list of conversations can do without.
 */

import { h } from "./dom.js";
import { session as askSession } from "./http.js";
import { language, needTexts, preferredLanguage, setLanguage, t } from "./i18n.js";
import { button, emptyState } from "./parts.js";
import { needStyles, Router } from "./router.js";
import { Shell } from "./shell.js";
import { setTitle } from "./title.js";

/** @import { App, Session } from "./types.js" */
/** @import { Found } from "./router.js" */

const FIRST_PAUSE = 1000; // ms until a realm that did not answer is asked again, then ever longer
const LONGEST_PAUSE = 5000;
const LATER = 800; // ms after the first page is there
const MUCH_LATER = 2000; // ms: the service worker gets all there is, and nothing shall wait for that

/** @type {Promise<void> | null} */
let later = null;

const router = new Router({
  app: () => app,
  allowed: ({ route, hash }) => {
    if (route.outside) return app.session?.account ? (note("wanted") ?? "#/") : null;
    if (app.session?.account) return null;
    note("wanted", hash);
    return "#/login";
  },
  ready: ({ route }) => (route.outside || route.name === "home" ? null : makeLater()),
  show: (view, found) => {
    shell.show(view, found);
    // If that fails it is tried again with the next view.
    if (!found.route.outside) setTimeout(() => makeLater().catch(() => {}), LATER);
  },
  failed,
});

const app = /** @type {App} */ ({ session: null, router, setTitle, enter, leave, changeLanguage, why: () => note("why") });

let controlled = Boolean(navigator.serviceWorker?.controller);
navigator.serviceWorker?.addEventListener("controllerchange", () => {
  // What would be loaded from now on is of another version than this page.
  router.stale = controlled;
  controlled = true;
});
await setLanguage(preferredLanguage(), { remember: false });
const shell = new Shell(app, /** @type {HTMLElement} */ (document.getElementById("app")));
document.addEventListener("visibilitychange", () => void lookAround());
document.addEventListener("keydown", shortcuts);
await begin(await firstSession()).then(() => router.start(), failed);
setTimeout(aside, MUCH_LATER);

/** What can wait. The realm may be away just then. */
async function aside() {
  try {
    (await import("./aside.js")).startAside(router);
  } catch {
    setTimeout(aside, LONGEST_PAUSE);
  }
}

/** Who one is. Asks until somebody answers. @returns {Promise<Session>} */
async function firstSession() {
  for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
    try {
      const session = await askSession();
      shell.setBar(null);
      return session;
    } catch {
      shell.showTrouble(trouble(t("app.waiting"), t("app.waiting.hint")));
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, pause);
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
    const { makeInside, conversationList } = await import("./inside.js");
    makeInside(app, (reason) => {
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

function makeLater() {
  later ??= Promise.all([import("./later.js"), needTexts("more", "errors"), needStyles("forms")]).then(
    ([{ makeLater }]) => makeLater(app),
    (error) => {
      later = null;
      throw error;
    },
  );
  return later;
}

/** One has logged in. @param {Session} session */
async function enter(session) {
  await begin(session);
  const hash = note("wanted") ?? "#/";
  note("wanted", "");
  router.go(hash, { replace: true });
}

/**
 * The session is over. What is typed and unsent stays, for when one is back.
 * @param {string} reason a sentence, or nothing if one knows
 * @param {string} [back] where to go on after the next login
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
 * What is to be known after the next login, or by the login page, even if that is loaded afresh: where one wanted
 * to go, why one is out.
 * @param {"wanted" | "why"} name
 * @param {string} [text] to be kept; nothing forgets it
 * @returns {string | null}
 */
function note(name, text) {
  try {
    if (text !== undefined) sessionStorage.setItem(`chatd.${name}`, text);
    return sessionStorage.getItem(`chatd.${name}`) || null;
  } catch {
    return null; // then one goes to the list
  }
}

/** Somebody comes back to the login page, and may have logged in elsewhere meanwhile. */
async function lookAround() {
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

/** @param {KeyboardEvent} event */
function shortcuts(event) {
  if (!app.session?.account || event.defaultPrevented || event.altKey || event.shiftKey) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    router.go("#/search");
  }
}

/** A view could not be loaded or made. If the link is away, that is why. @param {unknown} error */
function failed(error) {
  const again = button(t("app.reload"), { kind: "primary", onClick: () => location.reload() });
  shell.showTrouble(trouble(t("app.not-shown"), t("app.not-shown.hint"), again));
  const link = app.connection;
  if (app.session?.account && link.state !== "open") {
    link.addEventListener("state", () => link.state === "open" && again.isConnected && location.reload());
  } else {
    reportError(error);
  }
}

/** @param {string} title @param {string} hint @param {HTMLElement} [action] */
function trouble(title, hint, action) {
  const heading = h("h1", { class: "visually-hidden", tabindex: -1 }, title);
  return h("div", { class: "home" }, heading, emptyState(title, hint, action, action ? "alert" : "chats"));
}
