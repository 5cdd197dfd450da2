// @ts-check
/** A room: who is in it, and what is said while the user is there. Nothing is kept. */

import { roomFileUrl } from "../chat/files.js";
import { fill, h, uid } from "../dom.js";
import { t } from "../i18n.js";
import { bdi, listed, sentence } from "../panels/page.js";
import { RoomVisit } from "../panels/roomvisit.js";
import { tError } from "../refusals.js";
import { clock, full } from "../time.js";
import { announce, avatar, button, emptyState, icon, iconButton, pageHeader } from "../ui.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {import("../panels/roomvisit.js").Line} Line */

const NEAR = 80; // px from the end within which new lines scroll the list

/**
 * @param {App} app
 * @param {Record<string, string>} params
 * @returns {import("../types.js").View}
 */
export function view(app, params) {
  const visit = new RoomVisit(app, params.name);
  const talk = talking(app, visit);
  const people = h("div", { class: "room-people" });
  const banner = h("div", { class: "room-banner", role: "status" });
  const composer = composing(visit);
  const leave = button(t("room.leave"), {
    kind: "small",
    icon: "leave",
    onClick: () => {
      app.toast(t("room.left-to", { room: visit.room }));
      app.router.go("#/rooms");
    },
  });

  const showState = () => {
    fill(banner, bannerOf(app, visit));
    composer.node.hidden = visit.state === "failed" || visit.state === "elsewhere";
    people.hidden = visit.state !== "in";
  };
  const showPeople = () => fill(people, peopleOf(app, visit));
  visit.addEventListener("state", showState);
  visit.addEventListener("people", showPeople);
  showState();
  showPeople();
  void visit.enter();

  const node = h(
    "div",
    { class: "panel room" },
    pageHeader({ title: t("room.title", { room: params.name }), back: "#/rooms", actions: [leave] }),
    h("p", { class: "room-kept" }, icon("info"), h("span", null, t("room.not-kept"))),
    people,
    talk,
    banner,
    composer.node,
  );
  return {
    title: t("room.title", { room: params.name }),
    node,
    destroy: () => visit.destroy(),
    focus: () => composer.input.focus(),
  };
}

/**
 * The lines of talk. New ones scroll the list only if the reader is at its end.
 * @param {App} app
 * @param {RoomVisit} visit
 */
function talking(app, visit) {
  const lines = h("ol", { class: "talk" });
  const log = h(
    "div",
    { class: "talk-log", role: "log", "aria-label": t("room.talk"), tabindex: "0" },
    lines,
  );
  const quiet = emptyState(t("room.empty"), t("room.empty-hint"), null, "room");
  const scroll = h("div", { class: "talk-scroll" }, quiet, log);
  visit.addEventListener("line", (event) => {
    const line = /** @type {CustomEvent<Line>} */ (event).detail;
    const follows = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < NEAR;
    quiet.hidden = true;
    lines.append(lineOf(app, line));
    while (lines.childElementCount > visit.lines.length) lines.firstElementChild?.remove();
    if (follows || (line.kind === "said" && line.mine)) scroll.scrollTop = scroll.scrollHeight;
  });
  return scroll;
}

/**
 * The field for talking. A line that could not be sent stays in it.
 * @param {RoomVisit} visit
 */
function composing(visit) {
  const id = uid("say");
  const input = h("input", {
    id,
    class: "input",
    type: "text",
    autocomplete: "off",
    enterkeyhint: "send",
    dir: "auto",
    placeholder: t("room.placeholder"),
    "aria-describedby": `${id}-error`,
  });
  const error = h("div", { id: `${id}-error`, class: "form-error", role: "alert" });
  const go = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    const text = input.value;
    if (!text.trim()) return;
    if (visit.state !== "in") return announce(t("room.lost"), { urgent: true });
    input.value = "";
    fill(error);
    try {
      await visit.say(text);
    } catch (trouble) {
      if (!input.value) input.value = text;
      fill(error, icon("alert"), h("p", { dir: "auto" }, t("room.not-said", { reason: tError(trouble) })));
    }
  };
  const node = h(
    "form",
    { class: "room-composer", on: { submit: go } },
    error,
    h(
      "div",
      { class: "inline" },
      h("label", { class: "visually-hidden", for: id }, t("room.message")),
      input,
      iconButton("send", t("room.send"), { kind: "primary", type: "submit" }),
    ),
  );
  return { node, input };
}

/**
 * The notice for a visit during which talking is not possible, and null otherwise.
 * @param {App} app
 * @param {RoomVisit} visit
 */
function bannerOf(app, visit) {
  const { state } = visit;
  if (state === "in") return null;
  if (state === "joining") return h("p", { class: "aside" }, t("room.joining"));
  if (state === "lost") return h("p", { class: "note" }, icon("alert"), h("span", null, t("room.lost")));
  if (state === "elsewhere") {
    const again = button(t("room.rejoin"), { kind: "primary", onClick: () => visit.enter() });
    return h("div", { class: "note" }, icon("alert"), h("p", null, t("room.elsewhere")), again);
  }
  return emptyState(
    t("room.failed"),
    tError(visit.error),
    [
      button(t("panels.retry"), { icon: "retry", onClick: () => visit.enter() }),
      button(t("room.to-rooms"), { onClick: () => app.router.go("#/rooms") }),
    ],
    "alert",
  );
}

/**
 * @param {App} app
 * @param {RoomVisit} visit
 */
function peopleOf(app, { people, room }) {
  if (people.length < 2) return h("p", null, ...sentence("room.alone", { room: bdi(room) }));
  const items = people.map((user) => {
    const shown = app.store.displayName(user);
    return h(
      "li",
      { class: "person" },
      avatar(shown, undefined, { picture: app.store.pictureOf(user) }),
      h("bdi", { dir: "auto" }, app.store.isMe(user) ? t("panels.me") : shown),
    );
  });
  return [
    h("h2", { class: "part-title" }, t("room.people-count", { n: people.length })),
    h("ul", { class: "people", "aria-label": t("room.people") }, ...items),
  ];
}

/**
 * @param {{name: string, code: string}} file
 * @param {string} text
 */
function linkTo(file, text) {
  return h("a", { href: roomFileUrl(file.code), download: file.name }, text);
}

/**
 * @param {App} app
 * @param {Line} line
 */
function lineOf(app, line) {
  const when = h(
    "time",
    { class: "said-at", datetime: new Date(line.at).toISOString(), title: full(line.at) },
    clock(line.at),
  );
  if (line.kind === "back") return h("li", { class: "happened" }, t("room.back"));
  if (line.kind !== "said") {
    const who = listed([app.store.displayName(line.from)]);
    return h("li", { class: "happened" }, ...sentence(`room.${line.kind}`, { name: who }));
  }
  const who = line.mine ? t("panels.me") : line.name || app.store.displayName(line.from);
  return h(
    "li",
    { class: line.mine ? "said said-mine" : "said" },
    avatar(line.name || line.from, undefined, { picture: app.store.pictureOf(line.from) }),
    h(
      "div",
      { class: "said-words" },
      h("p", { class: "said-head" }, h("bdi", { class: "said-name", dir: "auto" }, who), " ", when),
      h("p", { class: "said-text", dir: "auto" }, line.file ? linkTo(line.file, line.text) : line.text),
    ),
  );
}
