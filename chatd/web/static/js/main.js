// @ts-check
/** Puts the page together: who is logged in, what they may see, and what happens when that ends. */

import { Connection } from "./connection.js";
import { h } from "./dom.js";
import { ChatError } from "./errors.js";
import * as http from "./http.js";
import { language, preferredLanguage, setLanguage, t, tError } from "./i18n.js";
import { setTitle, watchMessages } from "./notify.js";
import { Outbox } from "./outbox.js";
import { Router } from "./router.js";
import { Shell } from "./shell.js";
import { Store } from "./store.js";
import { watchTheme } from "./theme.js";
import { announce, button, confirm, emptyState, pageHeader, toast } from "./ui.js";
import { prepareNotices } from "./dialogs.js";
import { lookForUpdate, startWorker } from "./worker.js";

/** @typedef {import("./types.js").App} App */
/** @typedef {import("./types.js").Session} Session */
/** @typedef {import("./router.js").Found} Found */

const FIRST_PAUSE = 1000; // ms until a realm that did not answer is asked again, then ever longer
const LONGEST_PAUSE = 15_000;

const connection = new Connection();
const store = new Store(connection);
const outbox = new Outbox(connection, store);
let wanted = "#/"; // where one wanted to go when one had to log in

const router = new Router({
  app: () => app,
  allowed: ({ route, hash }) => {
    if (route.outside) return store.me ? wanted : null;
    if (store.me) return null;
    wanted = hash;
    return "#/login";
  },
  show: (view, found) => shell.show(view, found),
  failed,
});

/** @type {App} */
const app = { connection, store, outbox, router, toast, announce, setTitle, enter, signOut, changeLanguage };

await setLanguage(preferredLanguage(), { remember: false });
watchTheme();
prepareNotices();
const shell = new Shell(app, /** @type {HTMLElement} */ (document.getElementById("app")));
watchMessages(app);
connection.addEventListener("ended", (event) => leave(reasonOf(/** @type {CustomEvent} */ (event).detail)));
connection.addEventListener("state", () => {
  // A realm that was away may have come back as another version.
  if (connection.state === "open") void lookForUpdate();
});
document.addEventListener("visibilitychange", () => void lookAround());
document.addEventListener("keydown", shortcuts);
startWorker({
  onNewVersion: () => {
    router.stale = true;
  },
  onOpen: (hash) => router.go(hash),
});
begin(await firstSession());
await router.start();

/** Who one is. Asks until somebody answers. @returns {Promise<Session>} */
async function firstSession() {
  for (let pause = FIRST_PAUSE; ; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
    try {
      const session = await http.session();
      shell.setBar(null);
      return session;
    } catch (error) {
      if (error instanceof ChatError) toast(tError(error), "error");
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
function begin(session) {
  store.begin(session);
  if (!session.account) return;
  outbox.start(session.account.username);
  connection.open(session.account.username);
}

/**
 * One has logged in.
 * @param {Session} session
 */
function enter(session) {
  why("");
  begin(session);
  const hash = wanted;
  wanted = "#/";
  router.go(hash, { replace: true });
}

/**
 * @param {{everywhere?: boolean}} [options]
 * @returns {Promise<boolean>}
 */
async function signOut({ everywhere = false } = {}) {
  const unsent = outbox.entries().filter((entry) => entry.state !== "queued").length;
  if (unsent > 0) {
    const sure = await confirm({
      title: t("out.unsent.title"),
      text: t("out.unsent", { n: unsent }),
      action: t("out.anyway"),
      danger: true,
    });
    if (!sure) return false;
  }
  await http.logout({ everywhere });
  outbox.clear();
  leave("");
  wanted = "#/";
  return true;
}

/**
 * The session is over. What is typed and unsent stays, for when one is back.
 * @param {string} reason a sentence, or nothing if one knows
 */
function leave(reason) {
  if (!store.me) return;
  wanted = router.current?.hash ?? "#/";
  connection.close();
  outbox.stop();
  store.end();
  why(reason);
  router.go("#/login", { replace: true });
}

/** What the login page says first. @param {string} sentence */
function why(sentence) {
  app.why = sentence;
}

/** @param {string} reason what the realm said, in English */
function reasonOf(reason) {
  return reason && language() === "en" ? `${reason}.` : t("login.ended");
}

/** Somebody comes back to the login page, and may have logged in elsewhere meanwhile. */
async function lookAround() {
  if (document.hidden || store.me || !store.session) return;
  const session = await http.session().catch(() => null);
  if (session?.account && !store.me) enter(session);
}

/**
 * @param {import("./i18n.js").Language} wanted
 */
async function changeLanguage(wanted) {
  await setLanguage(wanted);
  shell.words();
  await router.refresh();
}

/** @param {KeyboardEvent} event */
function shortcuts(event) {
  if (!store.me || event.defaultPrevented || event.altKey || event.shiftKey) return;
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    router.go("#/search");
  }
}

/**
 * A view could not be loaded or made.
 * @param {Found} _found
 * @param {unknown} error
 */
function failed(_found, error) {
  shell.showTrouble(
    h(
      "div",
      { class: "page" },
      pageHeader({ title: t("app.trouble") }),
      emptyState(t("app.not-shown"), t("app.not-shown.hint"), [
        button(t("app.reload"), { kind: "primary", onClick: () => location.reload() }),
      ], "alert"),
    ),
  );
  reportError(error);
}
