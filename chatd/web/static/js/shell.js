// @ts-check
/** The frame around the views: the navigation, the list of conversations, and the bar for a lost link. */

import { fill, h } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { button, countBadge, unreadBadge } from "./parts.js";

/** @import { App, View } from "./types.js" */
/** @import { Found } from "./router.js" */
/** @typedef {typeof import("./views/list.js").conversationList} MakeList */

const WAYS = /** @type {const} */ ([
  { hash: "#/", icon: "chats", key: "nav.chats", routes: ["home", "chat", "newchat", "search", "files"] },
  { hash: "#/contacts", icon: "user", key: "nav.contacts", routes: ["contacts"] },
  { hash: "#/groups", icon: "groups", key: "nav.groups", routes: ["groups", "members"] },
  { hash: "#/rooms", icon: "room", key: "nav.rooms", routes: ["rooms", "room"] },
  { hash: "#/realms", icon: "globe", key: "nav.realms", routes: ["realms"] },
  { hash: "#/settings", icon: "settings", key: "nav.settings", routes: ["settings"] },
]);

/** The routes where a phone shows the navigation; the others have a way back instead. */
const TOP = new Set(["home", "contacts", "groups", "rooms", "realms", "settings"]);

const SLOW = 1200; // ms that a link may be down before the bar shows it

export class Shell {
  #root;
  #main = h("main", { class: "view", tabindex: -1 });
  /** At home the list is the main content, with only a greeting beside it. */
  #greeting = h("section", { class: "view", tabindex: -1 });
  #side = h("section", { class: "side" });
  #rail = h("nav", { class: "rail" });
  #bar = h("div", { class: "linkbar", role: "status" });
  /** @type {View | null} */
  #view = null;
  /** @type {Found | null} */
  #found = null;
  /** @type {MakeList | null} */
  #makeList = null;
  /** @type {ReturnType<MakeList> | null} */
  #list = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #barLater;
  #app;

  /** @param {App} app @param {HTMLElement} root */
  constructor(app, root) {
    this.#app = app;
    this.#root = root;
    const skip = h("button", { class: "skip", type: "button", on: { click: () => this.#focusView() } });
    fill(root, skip, this.#bar, this.#rail, this.#side, this.#main);
    this.words();
  }

  /** After the first login, when the app has a store. @param {MakeList} makeList */
  inside(makeList) {
    const { store } = this.#app;
    this.#makeList = makeList;
    store.on("conversations", () => this.#drawRail());
    store.on("invitations", () => this.#drawRail());
    store.on("link", () => this.#drawBar());
    store.on("me", () => this.#drawSide());
  }

  /** Makes everything with texts in it again, after a change of language. */
  words() {
    const skip = this.#root.querySelector(".skip");
    if (skip) fill(skip, t("app.skip"));
    this.#rail.setAttribute("aria-label", t("nav.label"));
    this.#side.setAttribute("aria-label", t("nav.chats"));
    this.#drawRail();
    this.#drawSide();
    this.#drawBar();
  }

  /** @param {View} view @param {Found} found */
  show(view, found) {
    const before = this.#found;
    this.#view?.destroy?.();
    this.#view = view;
    this.#found = found;
    this.#root.dataset.route = found.route.name;
    this.#root.dataset.inside = String(!found.route.outside);
    this.#root.dataset.bar = String(TOP.has(found.route.name));
    this.#put(view.node, found.route.name === "home");
    this.#drawRail();
    this.#list?.setCurrent(location.hash);
    this.#app.setTitle(this.#titleOf(view.title));
    // On the first page a screen reader starts at the top by itself.
    if (view.focus) view.focus();
    else if (before) this.#focusView();
    scrollTo(0, 0);
  }

  /** Shows a page for a realm that does not answer. @param {HTMLElement} node */
  showTrouble(node) {
    this.#view?.destroy?.();
    this.#view = null;
    this.#put(node, false);
    this.#root.dataset.bar = "false";
  }

  /** @param {string} title */
  #titleOf(title) {
    return [title, this.#app.session?.realm].filter(Boolean).join(" · ");
  }

  #focusView() {
    /** @type {HTMLElement | null} */
    const heading = this.#root.querySelector(
      this.#found?.route.name === "home" ? '.side [role="heading"]' : ".view h1",
    );
    (heading ?? this.#main).focus({ preventScroll: true });
  }

  /** @param {HTMLElement} node @param {boolean} home */
  #put(node, home) {
    const [shown, other] = home ? [this.#greeting, this.#main] : [this.#main, this.#greeting];
    other.replaceWith(shown);
    fill(other);
    fill(shown, node);
    this.#greeting.setAttribute("aria-label", t("home.label"));
    this.#side.setAttribute("role", home ? "main" : "complementary");
    this.#list?.setLevel(home ? 1 : 2);
  }

  #drawRail() {
    const name = this.#found?.route.name ?? "";
    const unread = this.#app.store?.totalUnread() ?? 0;
    const invited = this.#app.invitations?.list.length ?? 0;
    /** @type {Record<string, HTMLElement | null>} */
    const badges = { "#/": unreadBadge(unread), "#/groups": countBadge(invited, t("ui.invited", { n: invited })) };
    const focused = /** @type {HTMLElement | null} */ (document.activeElement)?.dataset.way;
    const links = WAYS.map((way) => {
      const current = /** @type {readonly string[]} */ (way.routes).includes(name);
      return h(
        "a",
        { class: "way", href: way.hash, "aria-current": current ? "page" : null, dataset: { way: way.hash } },
        h("span", { class: "way-icon" }, icon(way.icon), badges[way.hash]),
        h("span", { class: "way-label" }, t(way.key)),
      );
    });
    fill(this.#rail, ...links);
    if (focused) links.find((link) => link.dataset.way === focused)?.focus();
  }

  #drawSide() {
    this.#list?.destroy();
    this.#list = this.#app.store?.me ? (this.#makeList?.(this.#app) ?? null) : null;
    fill(this.#side, this.#list?.node);
    this.#list?.setCurrent(location.hash);
    this.#list?.setLevel(this.#found?.route.name === "home" ? 1 : 2);
  }

  #drawBar() {
    const state = this.#app.connection?.state ?? "closed";
    if (state === "open" || state === "closed") {
      clearTimeout(this.#barLater);
      this.#barLater = undefined;
      this.setBar(null);
    } else {
      // The state alternates between waiting and connecting.
      this.#barLater ??= setTimeout(() => this.setBar(() => this.#app.connection.reconnect()), SLOW);
    }
  }

  /** The bar for a lost link. @param {(() => void) | null} again called by its button; null hides the bar */
  setBar(again) {
    this.#root.dataset.away = String(again !== null);
    if (again === null) {
      fill(this.#bar);
      return;
    }
    const offline = navigator.onLine === false;
    fill(
      this.#bar,
      h("span", { class: "linkbar-dot", "aria-hidden": "true" }),
      h("p", null, h("strong", null, t("link.again")), " ", t(offline ? "link.offline" : "link.kept")),
      button(t("link.now"), { kind: "small quiet", onClick: again }),
    );
  }
}
