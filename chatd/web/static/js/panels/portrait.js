// @ts-check
/** A picture that the user may change: their own in the settings, or that of a group. */

import { fill, h } from "../dom.js";
import { send as sendTo } from "../http.js";
import { t } from "../i18n.js";
import { tError } from "../refusals.js";
import { avatar, button } from "../ui.js";
import { keepFocus } from "./live.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {import("../types.js").Place} Place */

/**
 * It is redrawn when another device or admin changes the picture.
 * @param {App} app
 * @param {Place} place the user, or a group of which they are an admin
 * @returns {{node: HTMLElement, destroy: () => void}}
 */
export function portrait(app, place) {
  const group = place.kind === "g";
  const path = `/pictures/${encodeURIComponent((group ? "#" : "@") + place.name)}`;
  const node = h("div", { class: "portrait" });
  /** @type {HTMLInputElement} */
  const file = h("input", {
    type: "file",
    accept: "image/png,image/jpeg,image/webp,image/gif",
    hidden: true, // the button opens it
    on: { change: () => file.files?.[0] && void change("PUT", file.files[0]) },
  });

  let shown = "";
  const draw = () => {
    const name = group ? app.store.groupName(place) : app.store.displayName(place.name);
    const looks = app.store.looks(place);
    if (shown === JSON.stringify([name, looks])) return;
    shown = JSON.stringify([name, looks]);
    const act = (/** @type {"change" | "remove"} */ what, /** @type {() => unknown} */ onClick) =>
      button(t(`settings.picture-${what}`), { kind: "small", dataset: { key: `picture\n${what}` }, onClick });
    const parts = [
      avatar(name, undefined, { ...looks, large: true }),
      file,
      act("change", () => file.click()),
      looks.picture !== undefined && act("remove", () => change("DELETE")),
    ];
    keepFocus(node, () => fill(node, ...parts));
  };

  /** @param {"PUT" | "DELETE"} method @param {File} [chosen] */
  const change = async (method, chosen) => {
    try {
      const { picture } = await send(method, path, chosen);
      app.store.see(place, picture);
      if (!group) app.store.changeMe({ picture });
      draw();
      app.toast(t(chosen ? "settings.picture-set" : "settings.picture-removed"), "success");
    } catch (error) {
      app.toast(tError(error), "error");
    }
    file.value = "";
  };

  draw();
  const offs = [app.store.on("conversations", draw), app.store.on("me", draw)];
  return { node, destroy: () => offs.forEach((off) => off()) };
}

/**
 * Throws ChatError, LinkLost.
 * @param {string} method
 * @param {string} path
 * @param {File} [body]
 */
async function send(method, path, body) {
  const query = body ? `?filename=${encodeURIComponent(body.name)}` : "";
  return sendTo(path + query, { method, body });
}
