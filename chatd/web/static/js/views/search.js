// @ts-check
/** Messages found by parts of their text or of their file's name, newest first, page by page. */

import { sizeText } from "../chat/files.js";
import { fill, h, uid } from "../dom.js";
import { language, t } from "../i18n.js";
import { found } from "../panels/found.js";
import { bdi, page, row, rows } from "../panels/page.js";
import { tError } from "../refusals.js";
import { hashOf } from "../router.js";
import { full, relative } from "../time.js";
import { announce, avatar, button, emptyState, icon, spinner } from "../ui.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {import("../types.js").Message} Message */

const MAX_LENGTH = 500; // characters that the realm accepts

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
      if (mine === turn) show(app, place, reply, text);
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
 * @param {import("../types.js").Reply} first the reply with the first page
 * @param {string} text
 */
function show(app, place, first, text) {
  if (!first.messages.length) {
    announce(t("search.none", { text }));
    fill(place, emptyState(t("search.none", { text }), t("search.none-hint"), null, "search"));
    return;
  }
  const count = t("search.found", { n: first.messages.length + (first.remaining ?? 0) });
  const list = rows(count, []);
  let last = 0;
  const more = button(t("panels.show-more"), { class: "show-more", onClick: () => void next() });
  const add = (/** @type {import("../types.js").Reply} */ { messages, remaining }) => {
    const page = /** @type {Message[]} */ (messages).toSorted((one, other) => other.id - one.id);
    last = page.at(-1)?.id ?? last;
    const words = wordsOf(text);
    list.append(...page.map((message) => hit(app, message, words)));
    more.hidden = !remaining;
  };
  const next = async () => {
    const from = list.childElementCount;
    more.disabled = true;
    try {
      add(await app.connection.request("search", { text, before: last }));
      list.children[from]?.querySelector("a")?.focus();
    } catch (error) {
      app.toast(tError(error), "error");
    }
    more.disabled = false;
  };
  add(first);
  announce(count);
  fill(place, h("p", { class: "count" }, count), list, more);
}

/** The words of a search without its filters, to mark them. @param {string} text */
function wordsOf(text) {
  return text.split(/\s+/u).filter((word) => word && !/^(?:from|in|has|before|after):/u.test(word));
}

/**
 * @param {App} app
 * @param {Message} message
 * @param {string[]} words
 */
function hit(app, message, words) {
  const { store } = app;
  const where = store.placeOf(message);
  const mine = store.isMe(message.from);
  const who = mine ? t("panels.me") : store.displayName(message.from);
  const said = message.file
    ? [
        icon("file"),
        h("bdi", { dir: "auto" }, ...found(message.file.name, words)),
        `, ${sizeText(message.file.size, language())}`,
      ]
    : [h("bdi", { dir: "auto" }, ...found(message.text ?? "", words))];
  const sender = where.kind === "g" || mine ? [bdi(who), ": "] : [];
  const title = where.kind === "u" ? store.displayName(where.name) : store.groupName(where);
  return row({
    key: `${message.conversation} ${message.seq}`,
    class: "hit",
    href: `${hashOf(where)}?seq=${message.seq}`,
    title,
    picture: avatar(title, undefined, store.looks(where)),
    meta: h("time", { datetime: message.at, title: full(message.at) }, relative(message.at)),
    subtitle: [...sender, ...said],
  });
}
