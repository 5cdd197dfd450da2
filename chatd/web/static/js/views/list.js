// @ts-check
/** The list of conversations: direct ones, groups, and those with other realms. */

import { h } from "../dom.js";
import { needTexts, t } from "../i18n.js";
import { isImported } from "../keys.js";
import { icon } from "../icons.js";
import { hashOf } from "../router.js";
import { full, relative } from "../time.js";
import { avatar, countBadge, iconButton, listRow, spinner, unreadBadge } from "../parts.js";

/** @import { App, Conversation, Line, Message } from "../types.js" */
/** @import { Child } from "../dom.js" */

export const SHOWN = 160; // characters of the last line, more than fits

/** @type {Record<string, import("../icons.js").IconName>} for the states of messages that have not arrived */
const SIGNS = { queued: "clock", requested: "clock", refused: "alert" };

const FILTERS = /** @type {const} */ (["all", "people", "groups", "realms", "archived"]);
/** @typedef {(typeof FILTERS)[number]} Filter */

/** @type {Filter} the last choice, kept when the list is made again */
let filter = "all";

/** @param {App} app */
export function conversationList(app) {
  const heading = h("div", { class: "page-title", role: "heading", "aria-level": 1, tabindex: -1 }, t("nav.chats"));
  const me = `${app.store.me?.username}@${app.store.realm}`;
  const address = h("p", { class: "page-subtitle", dir: "auto", title: t("list.address") }, me);
  const list = h("ul", { class: "conversations", "aria-label": t("list.label") });
  const rest = h("div", { class: "list-rest" });
  const chips = FILTERS.map((each) =>
    h("button", { class: "chip", type: "button", on: { click: () => choose(each) } }, t(`list.${each}`)),
  );
  const node = h(
    "div",
    { class: "list" },
    h(
      "header",
      { class: "page-head" },
      h("div", { class: "page-titles" }, heading, address),
      h(
        "div",
        { class: "page-actions" },
        iconButton("file", t("nav.files"), { href: "#/files" }),
        iconButton("search", t("nav.search"), { href: "#/search" }),
        iconButton("plus", t("nav.new"), { href: "#/new", kind: "primary" }),
      ),
    ),
    h("div", { class: "chips", role: "group", "aria-label": t("list.filter") }, ...chips),
    h("div", { class: "list-scroll" }, list, rest),
  );

  const rows = new Rows(list);
  let current = "";
  let frame = 0;
  const draw = () => {
    frame ||= requestAnimationFrame(() => {
      frame = 0;
      const found = linesOf(app);
      showArchive(found);
      const shown = found.filter((each) => fits(each.conversation, filter));
      rows.show(shown, current, app);
      const says = shown.length > 0 ? "" : app.store.loaded ? filter : "loading";
      if (rest.dataset.says === says) return;
      rest.dataset.says = says;
      if (says === filter) void showHint(rest, filter);
      else rest.replaceChildren(...(says === "" ? [] : [spinner(t("list.loading"))]));
    });
  };

  /** The archive has a chip while there is something in it. @param {Line[]} found */
  function showArchive(found) {
    const kept = found.filter((each) => each.conversation.archived);
    const chip = chips[FILTERS.indexOf("archived")];
    const unread = kept.reduce((sum, each) => sum + each.conversation.unread, 0);
    chip.hidden = kept.length === 0 && filter !== "archived";
    if (chip.dataset.unread === String(unread)) return;
    chip.dataset.unread = String(unread);
    chip.replaceChildren(t("list.archived"), ...(unread ? [" ", countBadge(unread, t("ui.unread", { n: unread })) ?? ""] : []));
  }

  /** @param {Filter} wanted */
  function choose(wanted) {
    filter = wanted;
    for (const [at, chip] of chips.entries()) chip.setAttribute("aria-pressed", String(FILTERS[at] === filter));
    draw();
  }

  choose(filter);
  const offs = [app.store.on("conversations", draw)];
  const watchOutbox = () => {
    if (app.outbox) offs.push(app.outbox.on("change", draw));
    draw();
  };
  // The outbox is loaded after the list.
  if (app.outbox) watchOutbox();
  else offs.push(app.store.on("outbox", watchOutbox));
  return {
    node,
    destroy() {
      cancelAnimationFrame(frame);
      for (const off of offs) off();
    },
    /** @param {string} hash of the open conversation */
    setCurrent(hash) {
      current = hash.replace(/\/members$/, "");
      draw();
    },
    /** @param {1 | 2} level of its heading */
    setLevel(level) {
      heading.setAttribute("aria-level", String(level));
    },
  };
}

/**
 * All conversations, with their unsent texts once the outbox is loaded.
 * @param {App} app
 * @returns {Line[]}
 */
function linesOf(app) {
  const known = app.store.sorted().map((conversation) => ({ conversation }));
  return app.withUnsent?.(known) ?? known;
}

/** @param {Conversation} conversation @param {Filter} wanted */
function fits({ place, archived = false }, wanted) {
  if (archived || wanted === "archived") return archived && wanted === "archived";
  if (wanted === "all") return true;
  const elsewhere = place.name.includes("@");
  return wanted === "realms" ? elsewhere : !elsewhere && place.kind === (wanted === "people" ? "u" : "g");
}

/**
 * Fills an empty list with a hint.
 * @param {HTMLElement} rest
 * @param {Filter} wanted
 */
async function showHint(rest, wanted) {
  const [{ nothing }] = await Promise.all([import("./nothing.js"), needTexts("nothing")]);
  if (rest.dataset.says === wanted) rest.replaceChildren(nothing(wanted));
}

/** The rows on the page: only changed ones are made again, and the focus stays. */
class Rows {
  /** @type {Map<string, {node: HTMLElement, looks: string}>} */
  #shown = new Map();
  #list;

  /** @param {HTMLElement} list */
  constructor(list) {
    this.#list = list;
  }

  /** @param {Line[]} lines @param {string} current @param {App} app */
  show(lines, current, app) {
    const focused = document.activeElement?.closest("li")?.dataset.key;
    const before = this.#shown;
    this.#shown = new Map();
    let at = this.#list.firstElementChild;
    for (const line of lines) {
      const { key } = line.conversation.place;
      const looks = looksOf(app, line, current);
      const known = before.get(key);
      const node = known?.looks === looks ? known.node : row(app, line, current);
      node.dataset.key = key;
      this.#shown.set(key, { node, looks });
      if (node === at) {
        at = at.nextElementSibling;
        continue;
      }
      if (known && known.node !== node) {
        if (known.node === at) at = at.nextElementSibling;
        known.node.remove();
      }
      this.#list.insertBefore(node, at);
    }
    for (const [key, { node }] of before) if (!this.#shown.has(key)) node.remove();
    if (focused && !this.#list.contains(document.activeElement)) {
      this.#shown.get(focused)?.node.querySelector("a")?.focus({ preventScroll: true });
    }
  }
}

/** Everything that a row shows, to detect changes. @param {App} app @param {Line} line @param {string} current */
function looksOf(app, { conversation: found, entry }, current) {
  const { name, online, away, unread, last, place, request } = found;
  const level = app.store.notifyLevel(place);
  const when = last && relative(last.at);
  const now = hashOf(place) === current;
  const who = last?.group === undefined ? "" : app.store.displayName(last.from);
  const picture = app.store.picture(place);
  return JSON.stringify([who, name, request, picture, online, away, unread, last, when, now, level, entry?.state, entry?.text]);
}

/** @param {App} app @param {Line} line @param {string} current */
function row(app, { conversation: found, unsent }, current) {
  const { place, last } = found;
  const muted = app.store.notifyLevel(place) !== "all";
  const time = last && h("time", { datetime: last.at, title: full(last.at) }, relative(last.at));
  return listRow({
    title: found.name,
    subtitle: found.request === "open" ? t("list.request") : unsent ?? (last ? lastLine(app, last) : subtitleOf(found)),
    meta: muted ? [icon("muted"), h("span", { class: "visually-hidden" }, t("list.muted"), " "), time] : time,
    badge: unreadBadge(found.unread),
    picture: avatar(found.name, found.online ?? undefined, app.store.looks(place)),
    href: hashOf(place),
    current: hashOf(place) === current,
    class: [found.unread > 0 && "is-unread", muted && "is-muted"].filter(Boolean).join(" "),
  });
}

/** @param {Conversation} found */
function subtitleOf(found) {
  const here = found.place.kind === "g" && !found.place.name.includes("@");
  return here ? t("list.members", { n: found.members ?? 1 }) : t("list.nothing");
}

/** @param {App} app @param {Message} message @returns {Child[]} */
function lastLine(app, message) {
  const mine = app.store.isMe(message.from);
  const who = mine ? t("list.you") : message.group || isImported(message.to) ? app.store.displayName(message.from) : "";
  const { state = "" } = message;
  const sign = SIGNS[state];
  return [
    sign && icon(sign),
    sign && h("span", { class: "visually-hidden" }, `${t(`list.${state}`)} `),
    who && h("bdi", { class: "list-who" }, who),
    who && ": ",
    ...saidIn(message),
  ];
}

/** @param {Message} message @returns {Child[]} */
function saidIn({ text, file, deleted, opaque, blocked }) {
  if (deleted) return [t("list.deleted")];
  if (blocked) return [t("chat.blocked")];
  if (opaque !== undefined) return [t("list.opaque")];
  return file ? [icon("attach"), file.name] : [(text ?? "").slice(0, SHOWN)];
}
