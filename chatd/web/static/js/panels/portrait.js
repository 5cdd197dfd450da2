// @ts-check
/** The user's own picture in the settings: shown, changed and removed. */

import { h, fill } from "../dom.js";
import { ChatError, LinkLost } from "../errors.js";
import { t, tError } from "../i18n.js";
import { avatar, button } from "../ui.js";

/** @typedef {import("../types.js").App} App */

/** @param {App} app */
export function portrait(app) {
  const node = h("div", { class: "portrait" });
  /** @type {HTMLInputElement} */
  const file = h("input", {
    type: "file",
    accept: "image/png,image/jpeg,image/webp,image/gif",
    class: "visually-hidden",
    "aria-label": t("settings.picture-change"),
    tabindex: "-1",
    on: { change: () => file.files?.[0] && void change("PUT", file.files[0]) },
  });

  const draw = () => {
    const me = app.store.me;
    if (me === null) return;
    fill(
      node,
      avatar(me.name, undefined, { large: true, picture: me.picture }),
      file,
      button(t("settings.picture-change"), { kind: "small", onClick: () => file.click() }),
      me.picture && button(t("settings.picture-remove"), { kind: "small", onClick: () => change("DELETE") }),
    );
  };

  /** @param {"PUT" | "DELETE"} method @param {File} [chosen] */
  const change = async (method, chosen) => {
    const me = app.store.me;
    if (me === null) return;
    try {
      const { picture } = await send(method, `/pictures/@${encodeURIComponent(me.username)}`, chosen);
      app.store.changeMe({ picture });
      app.toast(t(chosen ? "settings.picture-set" : "settings.picture-removed"), "success");
    } catch (error) {
      app.toast(tError(error), "error");
    }
    file.value = "";
    draw();
  };

  draw();
  return node;
}

/**
 * Throws ChatError, LinkLost.
 * @param {string} method
 * @param {string} path
 * @param {File} [body]
 */
async function send(method, path, body) {
  const query = body ? `?filename=${encodeURIComponent(body.name)}` : "";
  let found;
  try {
    const answer = await fetch(path + query, { method, credentials: "same-origin", body });
    found = await answer.json();
  } catch {
    throw new LinkLost();
  }
  if (found.status !== "OK") throw new ChatError(found.code, found.message);
  return found;
}
