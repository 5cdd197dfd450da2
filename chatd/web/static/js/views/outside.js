// @ts-check
/** The frame of the login and registration pages: the realm's name, a form, and a link to the other page. */

import { h } from "../dom.js";
import { language, t } from "../i18n.js";
import { icon } from "../icons.js";

/** @typedef {import("../types.js").App} App */

/**
 * @param {App} app
 * @param {{title: string, intro: string, notice?: string, content: HTMLElement, other?: HTMLElement | null}} parts
 */
export function outside(app, { title, intro, notice, content, other }) {
  const next = language() === "en" ? "id" : "en";
  return h(
    "div",
    { class: "outside" },
    h(
      "div",
      { class: "outside-card" },
      h("div", { class: "brand" }, h("img", { src: "/static/icons/icon.svg", alt: "", width: 48, height: 48 }),
        h("div", null, h("p", { class: "brand-name" }, "chatd"),
          h("p", { class: "brand-realm" }, h("bdi", null, app.session?.realm ?? "")))),
      h("h1", { class: "outside-title", tabindex: -1 }, title),
      h("p", { class: "outside-intro" }, intro),
      notice && h("div", { class: "note", role: "alert" }, icon("info"), h("p", null, notice)),
      content,
      other,
    ),
    h(
      "button",
      { class: "button button-quiet button-small", type: "button", lang: next,
        on: { click: () => void app.changeLanguage(next) } },
      next === "id" ? "Bahasa Indonesia" : "English",
    ),
  );
}
