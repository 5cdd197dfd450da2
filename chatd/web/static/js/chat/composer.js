// @ts-check
/**
 * Where one writes. Enter sends, Shift+Enter makes a new line; since a message is one line in a realm, each
 * line is sent as a message of its own, and the note below says so. What is too long for that can go as a
 * text file instead.
 */

import { fill, h, uid } from "../dom.js";
import { language, t } from "../i18n.js";
import { icon } from "../ui.js";
import { draftOf, keepDraft } from "./drafts.js";
import { byteLength, linesOf } from "./text.js";
import { sizeText } from "./files.js";
import { Tray } from "./tray.js";

/** @typedef {import("../types.js").Place} Place */

/**
 * @typedef {{
 *   place: Place, username: string, name: string,
 *   limits: {message: number, file: number},
 *   send: (lines: string[], files: File[]) => void,
 *   page: (screens: number) => void,
 *   refused: (text: string) => void,
 * }} Options `page` scrolls the messages by so many screens; limits are in bytes
 */

const MOST_LINES = 20; // that go as messages in one go
const TALLEST = 0.35; // of the window that the field may take
const NEAR = 0.9; // of the limit, from where on what is left is shown

export class Composer {
  /** @param {Options} options */
  constructor(options) {
    /** @private */
    this._options = options;
    const note = uid("composer-note");
    this._tray = new Tray({ changed: () => this._changed(), refused: options.refused });
    this._note = h("p", { class: "composer-note", id: note, role: "status" });
    this._field = h("textarea", {
      class: "composer-field",
      rows: "1",
      dir: "auto",
      name: "text",
      placeholder: t("chat.write"),
      "aria-label": t("chat.write.to", { name: options.name }),
      "aria-describedby": note,
      autocomplete: "off",
      enterkeyhint: "send",
      on: {
        input: () => this._changed(),
        keydown: (/** @type {KeyboardEvent} */ event) => this._key(event),
      },
    });
    this._send = h(
      "button",
      {
        class: "composer-button composer-send",
        type: "submit",
        "aria-label": t("chat.send"),
        title: t("chat.send"),
      },
      icon("send"),
    );
    this._input = h("input", {
      type: "file",
      multiple: true,
      hidden: true,
      "aria-label": t("chat.attach"),
      on: { change: () => this._chosen() },
    });
    this.node = h(
      "form",
      {
        class: "composer",
        "aria-label": t("chat.composer"),
        on: {
          submit: (/** @type {Event} */ event) => {
            event.preventDefault();
            this._submit();
          },
        },
      },
      this._tray.node,
      h(
        "div",
        { class: "composer-row" },
        h(
          "button",
          {
            class: "composer-button",
            type: "button",
            "aria-label": t("chat.attach"),
            title: t("chat.attach"),
            on: { click: () => this._input.click() },
          },
          icon("attach"),
        ),
        this._input,
        this._field,
        this._send,
      ),
      this._note,
    );
    this._field.value = draftOf(options.username, options.place);
    this._changed();
  }

  focus() {
    this._field.focus({ preventScroll: true });
  }

  /**
   * Files that come from elsewhere: pasted, dropped.
   * @param {readonly File[]} files
   */
  attach(files) {
    this._tray.add(files);
    this.focus();
  }

  /** Fits the field to its text; to be called once it is on the page. */
  fit() {
    const { style } = this._field;
    style.height = "auto";
    const border = this._field.offsetHeight - this._field.clientHeight;
    const tallest = Math.max(96, window.innerHeight * TALLEST);
    const wanted = this._field.scrollHeight + border;
    style.height = `${Math.min(wanted, tallest)}px`;
    style.overflowY = wanted > tallest ? "auto" : "hidden";
  }

  destroy() {
    this._tray.clear();
  }

  /** @private */
  _chosen() {
    this.attach([...(this._input.files ?? [])]);
    this._input.value = ""; // the same file may be chosen again
  }

  /**
   * @private
   * @param {KeyboardEvent} event
   */
  _key(event) {
    // Enter ends what an input method composes; 229 is how some of them say so.
    if (event.isComposing || event.keyCode === 229) return;
    const plain = !event.shiftKey && !event.altKey && !event.ctrlKey && !event.metaKey;
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      this._submit();
    } else if (plain && (event.key === "PageUp" || event.key === "PageDown")) {
      event.preventDefault();
      this._options.page(event.key === "PageUp" ? -1 : 1);
    }
  }

  /** @private */
  _submit() {
    const { lines, blocked } = this._look();
    if (blocked || (lines.length === 0 && this._tray.size === 0)) {
      this._note.classList.toggle("is-urgent", blocked);
      return this.focus();
    }
    this._field.value = "";
    this._options.send(lines, this._tray.take());
    this._changed();
    this.focus();
  }

  /** What would be sent, and whether it may be. @private */
  _look() {
    const text = this._field.value;
    const lines = linesOf(text);
    const limit = this._options.limits.message;
    // A UTF-16 unit has at most three bytes: most texts need not be counted.
    const longest = Math.max(
      0,
      ...lines.map((line) => (line.length * 3 < limit * NEAR ? 0 : byteLength(line))),
    );
    const left = limit - longest;
    return { lines, left, blocked: left < 0 || lines.length > MOST_LINES };
  }

  /** @private */
  _changed() {
    if (this._field === undefined || this._send === undefined) return; // being made
    keepDraft(this._options.username, this._options.place, this._field.value);
    const { lines, left, blocked } = this._look();
    this._send.setAttribute(
      "aria-disabled",
      String(blocked || (lines.length === 0 && this._tray.size === 0)),
    );
    this._note.classList.toggle("is-wrong", blocked);
    if (!blocked) this._note.classList.remove("is-urgent");
    this._say(lines.length, left, blocked);
    this.fit();
  }

  /**
   * Says below the field what Enter will do, where that may not be what one thinks.
   * @private
   * @param {number} lines
   * @param {number} left bytes
   * @param {boolean} blocked
   */
  _say(lines, left, blocked) {
    const limit = this._options.limits.message;
    let text = "";
    if (left < 0) text = t("chat.note.too-long", { over: sizeText(-left, language()) });
    else if (lines > MOST_LINES) text = t("chat.note.too-many", { n: lines });
    else if (lines > 1) text = t("chat.note.lines", { n: lines });
    else if (left < limit * (1 - NEAR)) text = t("chat.note.left", { left: sizeText(left, language()) });
    else if (this._tray.size > 0) text = t("chat.note.files", { n: this._tray.size });
    if (this._note.dataset.text === text) return;
    this._note.dataset.text = text;
    fill(this._note, text, (blocked || lines > 1) && " ", (blocked || lines > 1) && this._asFile());
  }

  /** @private */
  _asFile() {
    return h(
      "button",
      {
        class: "link-button",
        type: "button",
        on: {
          click: () => {
            const file = new File([this._field.value], t("chat.note.filename"), { type: "text/plain" });
            this._field.value = "";
            this.attach([file]);
          },
        },
      },
      t("chat.note.as-file"),
    );
  }
}
