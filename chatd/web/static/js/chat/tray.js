// @ts-check
/** The files that were chosen, pasted or dropped, to be sent with the next Send. */

import { fill, h } from "../dom.js";
import { language, t } from "../i18n.js";
import { icon } from "../ui.js";
import { isPreviewed, sizeText } from "./files.js";

const MAX = 20; // files at once

export class Tray {
  #hooks;
  /** @type {{file: File, url: string | null}[]} */
  #files = [];

  /**
   * @param {{changed: () => void, refused: (text: string) => void}} hooks `refused` gets a sentence about
   *   files that can't be added
   */
  constructor(hooks) {
    this.#hooks = hooks;
    this.node = h("ul", { class: "tray", "aria-label": t("chat.tray"), hidden: true });
  }

  /** How many there are. */
  get size() {
    return this.#files.length;
  }

  /** @param {readonly File[]} files */
  add(files) {
    const room = MAX - this.#files.length;
    if (files.length > room) this.#hooks.refused(t("chat.tray.full", { n: MAX }));
    for (const file of files.slice(0, room)) {
      const url = isPreviewed(file.type, file.size) ? URL.createObjectURL(file) : null;
      this.#files.push({ file, url });
    }
    this.#show();
  }

  /** Returns the files and empties the tray. */
  take() {
    const files = this.#files.map((each) => each.file);
    this.clear();
    return files;
  }

  clear() {
    for (const { url } of this.#files) if (url !== null) URL.revokeObjectURL(url);
    this.#files = [];
    this.#show();
  }

  /**
   * @param {number} index
   */
  #remove(index) {
    const [{ url }] = this.#files.splice(index, 1);
    if (url !== null) URL.revokeObjectURL(url);
    this.#show();
    // Keep the focus at this place for keyboard users.
    const buttons = this.node.querySelectorAll("button");
    buttons[Math.min(index, buttons.length - 1)]?.focus();
  }

  #show() {
    this.node.hidden = this.#files.length === 0;
    fill(this.node, ...this.#files.map((each, index) => this.#chip(each.file, each.url, index)));
    this.#hooks.changed();
  }

  /**
   * @param {File} file
   * @param {string | null} url
   * @param {number} index
   */
  #chip(file, url, index) {
    return h(
      "li",
      { class: "tray-file" },
      url === null
        ? h("span", { class: "tray-icon" }, icon("file"))
        : h("img", { class: "tray-image", alt: "", src: url }),
      h(
        "span",
        { class: "tray-text" },
        h("bdi", { class: "tray-name" }, file.name),
        h("span", { class: "tray-size" }, sizeText(file.size, language())),
      ),
      h(
        "button",
        {
          class: "tray-remove",
          type: "button",
          "aria-label": t("chat.tray.remove", { name: file.name }),
          on: { click: () => this.#remove(index) },
        },
        icon("close"),
      ),
    );
  }
}

/**
 * The files of a paste or a drop, without folders, which appear as unreadable files.
 * @param {DataTransfer | null} data
 * @returns {File[]}
 */
export function filesOf(data) {
  if (data === null) return [];
  const files = [];
  for (const item of data.items) {
    if (item.kind !== "file" || item.webkitGetAsEntry?.()?.isDirectory) continue;
    const file = item.getAsFile();
    if (file !== null) files.push(file);
  }
  return files;
}
