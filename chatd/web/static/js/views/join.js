// @ts-check
/** What a join link opens: it asks whether to join the group with the code of the link. */

import { h } from "../dom.js";
import { ChatError, ask } from "../http.js";
import { t } from "../i18n.js";
import { parseGroup } from "../panels/names.js";
import { page } from "../panels/page.js";
import { tError } from "../refusals.js";
import { hashOf } from "../router.js";
import { button, emptyState } from "../ui.js";

/** @typedef {import("../types.js").App} App */

/**
 * @param {App} app
 * @param {Record<string, string>} params
 * @returns {import("../types.js").View}
 */
export function view(app, { code }) {
  const alert = h("div", { class: "report", role: "alert" });
  let busy = false;
  const join = async () => {
    if (busy) return;
    busy = true;
    try {
      await enter(app, code);
    } catch (error) {
      alert.replaceChildren(h("p", { dir: "auto" }, tError(error)));
    }
    busy = false;
  };
  const later = button(t("join.not-now"), { href: "#/" });
  const now = button(t("join.button"), { kind: "primary", onClick: join });
  // A stranger can make a link with any words in place of a code. They must not appear here as if chatd said them.
  const good = !code.includes("/") && parseGroup(code) !== null;
  const question = good
    ? emptyState(t("join.ask"), t("join.hint", { code }), [now, later], "groups")
    : emptyState(t("join.bad"), t("join.bad-hint"), later, "alert");
  return { title: t("join.title"), node: page({ title: t("join.title") }, question, alert) };
}

/**
 * Joins the group and opens it; opens it at once if the user is in it. Rejects with the realm's refusal.
 * @param {App} app
 * @param {string} code
 */
async function enter(app, code) {
  let group;
  try {
    ({ group } = await ask("POST", `/join/${encodeURIComponent(code)}`));
    app.toast(t("groups.joined", { group }), "success");
  } catch (error) {
    if (!(error instanceof ChatError) || error.code !== "already-member") throw error;
  }
  await app.store.refresh();
  const known = app.store.place("g", code).name; // groups of the user's own realm are listed without it
  group ??= app.store.sorted().find((each) => each.code === known)?.place.name;
  app.router.go(group === undefined ? "#/groups" : hashOf(app.store.place("g", group)), { replace: true });
}
