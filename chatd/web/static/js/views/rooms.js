// @ts-check
/** The rooms that people are in, and a form to enter any room. */

import { t } from "../i18n.js";
import { live } from "../panels/live.js";
import { isRoom } from "../panels/names.js";
import { listed, page, row, rows, section, sentence } from "../panels/page.js";
import { segment } from "../router.js";
import { emptyState, field, form, icon } from "../ui.js";
import { h } from "../dom.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {{room: string, users: string[]}} Room */

/** @param {App} app @returns {import("../types.js").View} */
export function view(app) {
  const which = field({
    label: t("rooms.name"),
    name: "room",
    hint: t("rooms.hint"),
    required: true,
    maxlength: 64,
    check: (text) => (isRoom(text.trim()) ? null : t("rooms.bad")),
  });
  const enter = form([which], () => app.router.go(`#/room/${segment(which.value.trim())}`), {
    submit: t("rooms.go"),
    class: "form-line",
    label: t("rooms.join"),
  });
  const shown = live(app, {
    load: async () => {
      const [reply] = await Promise.all([app.connection.request("rooms", { watch: true }), app.store.users()]);
      return /** @type {Room[]} */ (reply.rooms);
    },
    show: (found) => [
      found.length
        ? rows(
            t("rooms.list"),
            found.map((room) => roomRow(app, room)),
          )
        : emptyState(t("rooms.none"), t("rooms.none-hint"), null, "room"),
    ],
    events: ["rooms"],
  });
  return {
    title: t("rooms.title"),
    node: page(
      { title: t("rooms.title"), intro: t("rooms.intro") },
      section(t("rooms.join"), enter),
      section(t("rooms.list"), shown.node),
    ),
    destroy: () => {
      shown.destroy();
      // Ignore errors: a connection that is lost watches nothing.
      app.connection.request("rooms", { watch: false }).catch(() => {});
    },
  };
}

/**
 * @param {App} app
 * @param {Room} room
 */
function roomRow(app, { room, users }) {
  const key = users.length === 1 ? "rooms.people.one" : "rooms.people.other";
  const names = listed(users.map((user) => app.store.displayName(user)));
  return row({
    key: room,
    title: room,
    href: `#/room/${segment(room)}`,
    picture: h("span", { class: "row-icon" }, icon("room")),
    subtitle: sentence(key, { n: String(users.length), names }),
  });
}
