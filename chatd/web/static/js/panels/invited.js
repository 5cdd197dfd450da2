// @ts-check
/** The invitations that wait for the user's answer, with buttons to accept and decline them. */

import { fill, h } from "../dom.js";
import { t } from "../i18n.js";
import { hashOf } from "../router.js";
import { full, relative } from "../time.js";
import { avatar, button } from "../ui.js";
import { attempt, keepFocus } from "./live.js";
import { bdi, noted, row, rows, section, sentence } from "./page.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {import("../types.js").Invitation} Invitation */

/**
 * A section that is hidden while there are no invitations. The others are kept up to date.
 * @param {App} app
 */
export function invited(app) {
  const { invitations } = app;
  const content = h("div");
  const node = section(t("invited.title"), content);
  const draw = () => {
    node.hidden = invitations.list.length === 0;
    const found = invitations.list.map((invitation) => invitationRow(app, invitation));
    keepFocus(node, () => fill(content, rows(t("invited.title"), found)));
  };
  draw();
  return { node, destroy: invitations.on("change", draw) };
}

/**
 * @param {App} app
 * @param {Invitation} invitation
 */
function invitationRow(app, { group, title, by, at }) {
  const { store, invitations, router } = app;
  const name = title ?? group;
  const accept = () =>
    attempt(
      app,
      () => invitations.accept(group),
      (joined) => {
        router.go(hashOf(store.place("g", joined)));
        return t("groups.joined", { group: name });
      },
    );
  const decline = () =>
    attempt(
      app,
      () => invitations.decline(group),
      () => t("invited.declined", { group: name }),
    );
  return row({
    key: group,
    class: "invitation",
    title: name,
    subtitle: noted(
      h("span", { class: "bit" }, ...sentence("invited.by", { name: bdi(store.displayName(by)) })),
      title === undefined ? null : bdi(group),
      h("time", { class: "bit", datetime: at, title: full(at) }, relative(at)),
    ),
    picture: avatar(name, undefined, { kind: "group" }),
    actions: [
      button(t("invited.decline"), {
        kind: "small",
        "aria-label": t("invited.decline-this", { group: name }),
        onClick: decline,
      }),
      button(t("invited.accept"), {
        kind: "small primary",
        "aria-label": t("invited.accept-this", { group: name }),
        onClick: accept,
      }),
    ],
  });
}
