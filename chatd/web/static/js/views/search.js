// @ts-check
/** Messages found by a part of their text or of their file's name, newest first. */

import { sizeText } from "../chat/files.js";
import { fill, h, uid } from "../dom.js";
import { language, t, tError } from "../i18n.js";
import { found } from "../panels/found.js";
import { bdi, page, row, rows } from "../panels/page.js";
import { hashOf } from "../router.js";
import { full, relative } from "../time.js";
import { announce, avatar, button, emptyState, icon, spinner } from "../ui.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {import("../types.js").Message} Message */

const MAX = 500; // messages that the realm returns
const MAX_LENGTH = 500; // characters that the realm accepts
const PAGE = 50; // messages shown at once

/** @param {App} app @returns {import("../types.js").View} */
export function view(app) {
  const id = uid("search");
  const results = h("div", { class: "results" });
  const input = h("input", {
    id,
    class: "input",
    type: "search",
    name: "q",
    autocomplete: "off",
    enterkeyhint: "search",
    maxlength: MAX_LENGTH,
    dir: "auto",
    "aria-describedby": `${id}-hint`,
    value: asked(),
  });
  const form = h(
    "form",
    { class: "form searching", role: "search", on: { submit: go } },
    h("label", { for: id }, t("search.what")),
    h(
      "div",
      { class: "inline" },
      input,
      button(t("search.button"), { kind: "primary", icon: "search", type: "submit" }),
    ),
    h("p", { id: `${id}-hint`, class: "field-hint" }, t("search.hint")),
  );
  const search = searcher(app, results);

  /** @param {SubmitEvent} event */
  function go(event) {
    event.preventDefault();
    const text = input.value.trim();
    // In the address, so that the results are back after a visit to a conversation.
    history.replaceState(null, "", text ? `#/search?q=${encodeURIComponent(text)}` : "#/search");
    void search(text);
  }

  void search(input.value);
  return {
    title: t("search.title"),
    node: page({ title: t("search.title") }, form, results),
    focus: () => (input.value ? undefined : input.focus()),
  };
}

/** The search text in the page's address. */
function asked() {
  const [, query = ""] = location.hash.split("?");
  return new URLSearchParams(query).get("q") ?? "";
}

/**
 * @param {App} app
 * @param {HTMLElement} place the element for the results
 * @returns {(text: string) => Promise<void>}
 */
function searcher(app, place) {
  let turn = 0;
  return async (text) => {
    turn += 1;
    const mine = turn;
    if (!text) return void fill(place, emptyState(t("search.start"), t("search.start-hint"), null, "search"));
    fill(place, spinner(t("search.searching")));
    try {
      const [reply] = await Promise.all([app.connection.request("search", { text }), app.store.users()]);
      if (mine === turn) show(app, place, reply.messages, text);
    } catch (error) {
      if (mine === turn)
        fill(
          place,
          h("div", { role: "alert" }, emptyState(t("panels.failed"), tError(error), null, "alert")),
        );
    }
  };
}

/**
 * @param {App} app
 * @param {HTMLElement} place
 * @param {Message[]} messages
 * @param {string} text
 */
function show(app, place, messages, text) {
  if (!messages.length) {
    announce(t("search.none", { text }));
    fill(place, emptyState(t("search.none", { text }), t("search.none-hint"), null, "search"));
    return;
  }
  const count = t("search.found", { n: messages.length });
  const list = rows(count, []);
  const more = button(t("panels.show-more"), { class: "show-more", onClick: () => add(true) });
  const add = (/** @type {boolean} */ focus) => {
    const from = list.childElementCount;
    list.append(...messages.slice(from, from + PAGE).map((message) => hit(app, message, text)));
    if (focus) list.children[from]?.querySelector("a")?.focus();
    more.hidden = list.childElementCount >= messages.length;
  };
  add(false);
  announce(count);
  const cut = messages.length >= MAX && h("p", { class: "aside" }, t("search.most", { n: MAX }));
  fill(place, h("p", { class: "count" }, count), cut, list, more);
}

/**
 * @param {App} app
 * @param {Message} message
 * @param {string} text
 */
function hit(app, message, text) {
  const { store } = app;
  const where = store.placeOf(message);
  const mine = store.isMe(message.from);
  const who = mine ? t("panels.me") : store.displayName(message.from);
  const said = message.file
    ? [
        icon("file"),
        h("bdi", { dir: "auto" }, ...found(message.file.name, text)),
        `, ${sizeText(message.file.size, language())}`,
      ]
    : [h("bdi", { dir: "auto" }, ...found(message.text ?? "", text))];
  const sender = where.kind === "g" || mine ? [bdi(who), ": "] : [];
  const title = where.kind === "u" ? store.displayName(where.name) : store.groupName(where);
  return row({
    key: `${message.conversation} ${message.seq}`,
    class: "hit",
    href: hashOf(where),
    title,
    picture: avatar(title, undefined, { kind: where.kind === "g" ? "group" : "user" }),
    meta: h("time", { datetime: message.at, title: full(message.at) }, relative(message.at)),
    subtitle: [...sender, ...said],
  });
}
