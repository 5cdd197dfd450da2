// @ts-check
/**
 * The field for writing messages. Enter sends, Shift+Enter makes a new line, the up arrow in an empty field edits the
 * last message, and Escape gives up an answer or an edit. A text that is too long can be sent as a file.
 */

import { fill, h, uid } from "../dom.js";
import { language, t } from "../i18n.js";
import { icon } from "../ui.js";
import { draftOf, keepDraft } from "./drafts.js";
import { byteLength, sendable } from "./text.js";
import { sizeText } from "./files.js";
import { Mentioning } from "./mentioning.js";
import { Mode } from "./mode.js";
import { Tray } from "./tray.js";

/** @typedef {import("../types.js").Message} Message */
/** @typedef {import("../types.js").Place} Place */
/** @typedef {import("./mentioning.js").Candidate} Candidate */

/**
 * @typedef {{
 *   place: Place, username: string, name: string,
 *   limits: {message: number, file: number},
 *   send: (text: string, files: File[], reply?: number) => void,
 *   save: (message: Message, text: string) => void,
 *   editLast: () => void,
 *   people: () => Promise<readonly Candidate[]>,
 *   typing: () => void,
 *   page: (screens: number) => void,
 *   refused: (text: string) => void,
 * }} Options `save` is for an edited message; `typing` is called at each change of the text; `page` scrolls the
 *   messages by so many screens; `people` are those who can be mentioned; limits are in bytes
 */

const MAX_HEIGHT = 0.35; // of the window's height, for the field
const NEAR = 0.9; // of the limit, from which the rest is shown

export class Composer {
  #options;
  #tray;
  #note;
  #field;
  #send;
  #input;
  #mentioning;
  #mode = new Mode(() => this.#leaveMode());

  /** @param {Options} options */
  constructor(options) {
    this.#options = options;
    const note = uid("composer-note");
    this.#tray = new Tray({ changed: () => this.#changed(), refused: options.refused });
    this.#note = h("p", { class: "composer-note", id: note, role: "status" });
    this.#field = h("textarea", {
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
        input: () => this.#typed(),
        keydown: (/** @type {KeyboardEvent} */ event) => this.#key(event),
        click: () => void this.#mentioning.update(),
      },
    });
    this.#mentioning = new Mentioning(this.#field, options.people);
    this.#send = h(
      "button",
      {
        class: "composer-button composer-send",
        type: "submit",
        "aria-label": t("chat.send"),
        title: t("chat.send"),
      },
      icon("send"),
    );
    this.#input = h("input", {
      type: "file",
      multiple: true,
      hidden: true,
      "aria-label": t("chat.attach"),
      on: { change: () => this.#chosen() },
    });
    this.node = h(
      "form",
      {
        class: "composer",
        "aria-label": t("chat.composer"),
        on: {
          submit: (/** @type {Event} */ event) => {
            event.preventDefault();
            this.#submit();
          },
        },
      },
      this.#mentioning.node,
      this.#mode.node,
      this.#tray.node,
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
            on: { click: () => this.#input.click() },
          },
          icon("attach"),
        ),
        this.#input,
        this.#field,
        this.#send,
      ),
      this.#note,
    );
    this.#field.value = draftOf(options.username, options.place);
    this.#changed();
  }

  focus() {
    this.#field.focus({ preventScroll: true });
  }

  /** Answers a message. @param {Message} message @param {string} author */
  reply(message, author) {
    this.#leaveMode();
    this.#mode.begin("reply", message, author);
    this.focus();
  }

  /** Edits an own message in the field. The draft is there again afterwards. @param {Message} message */
  edit(message, text = message.text ?? "") {
    this.#mode.begin("edit", message, "");
    this.#field.value = text;
    this.#changed();
    this.focus();
  }

  /**
   * Adds files that were pasted or dropped.
   * @param {readonly File[]} files
   */
  attach(files) {
    this.#tray.add(files);
    this.focus();
  }

  /** Fits the field's height to its text. The field must be on the page. */
  fit() {
    const { style } = this.#field;
    // The composer stays as tall as it is meanwhile: if the thread above grew even for a moment, it would scroll.
    this.node.style.minHeight = `${this.node.offsetHeight}px`;
    style.height = "auto";
    const border = this.#field.offsetHeight - this.#field.clientHeight;
    const tallest = Math.max(96, window.innerHeight * MAX_HEIGHT);
    const wanted = this.#field.scrollHeight + border;
    style.height = `${Math.min(wanted, tallest)}px`;
    style.overflowY = wanted > tallest ? "auto" : "hidden";
    this.node.style.minHeight = "";
  }

  destroy() {
    this.#tray.clear();
  }

  #chosen() {
    this.attach([...(this.#input.files ?? [])]);
    this.#input.value = ""; // the same file may be chosen again
  }

  /**
   * @param {KeyboardEvent} event
   */
  #key(event) {
    // While an input method composes, Enter belongs to it; some report it as key code 229.
    if (event.isComposing || event.keyCode === 229) return;
    if (this.#mentioning.key(event)) return event.preventDefault();
    const plain = !event.shiftKey && !event.altKey && !event.ctrlKey && !event.metaKey;
    const empty = this.#field.value === "" && this.#mode.kind === "new";
    if (event.key === "Enter" && !event.shiftKey && !event.altKey) {
      event.preventDefault();
      this.#submit();
    } else if (plain && (event.key === "PageUp" || event.key === "PageDown")) {
      event.preventDefault();
      this.#options.page(event.key === "PageUp" ? -1 : 1);
    } else if (plain && event.key === "ArrowUp" && empty) {
      event.preventDefault();
      this.#options.editLast();
    } else if (plain && event.key === "Escape" && this.#mode.kind !== "new") {
      event.preventDefault();
      this.#leaveMode();
    }
  }

  #submit() {
    const { text, blocked } = this.#look();
    if (blocked || this.#isEmpty(text)) {
      this.#note.classList.toggle("is-urgent", blocked);
      return this.focus();
    }
    const { kind, message } = this.#mode;
    if (kind === "edit" && message) {
      if (text !== message.text) this.#options.save(message, text);
    } else {
      this.#field.value = "";
      this.#options.send(text, this.#tray.take(), message?.seq);
      this.#changed();
    }
    this.#leaveMode();
  }

  /** Back to a new message. */
  #leaveMode() {
    const { kind } = this.#mode;
    this.#mode.end();
    if (kind === "edit") this.#field.value = draftOf(this.#options.username, this.#options.place);
    this.#changed();
    this.focus();
  }

  #typed() {
    this.#changed();
    void this.#mentioning.update();
    if (this.#field.value !== "" && this.#mode.kind !== "edit") this.#options.typing();
  }

  /** @param {string} text */
  #isEmpty(text) {
    return text === "" && (this.#tray.size === 0 || this.#mode.kind === "edit");
  }

  /** Checks the text and the files, and updates the button and the note. */
  #look() {
    const text = sendable(this.#field.value);
    const limit = this.#options.limits.message;
    // A UTF-16 unit has at most three bytes, so short texts need no exact count.
    const left = limit - (text.length * 3 < limit * NEAR ? 0 : byteLength(text));
    return { text, left, blocked: left < 0 };
  }

  #changed() {
    if (this.#field === undefined || this.#send === undefined) return; // in the constructor
    if (this.#mode.kind !== "edit") keepDraft(this.#options.username, this.#options.place, this.#field.value);
    const { text, left, blocked } = this.#look();
    this.#send.setAttribute("aria-disabled", String(blocked || this.#isEmpty(text)));
    this.#note.classList.toggle("is-wrong", blocked);
    if (!blocked) this.#note.classList.remove("is-urgent");
    this.#say(left, blocked);
    this.fit();
  }

  /**
   * Explains below the field what Enter does, if that may be unexpected.
   * @param {number} left bytes
   * @param {boolean} blocked
   */
  #say(left, blocked) {
    const limit = this.#options.limits.message;
    let text = "";
    if (blocked) text = t("chat.note.too-long", { over: sizeText(-left, language()) });
    else if (left < limit * (1 - NEAR)) text = t("chat.note.left", { left: sizeText(left, language()) });
    else if (this.#tray.size > 0) text = t("chat.note.files", { n: this.#tray.size });
    if (this.#note.dataset.text === text) return;
    this.#note.dataset.text = text;
    fill(this.#note, text, blocked && " ", blocked && this.#asFile());
  }

  #asFile() {
    return h(
      "button",
      {
        class: "link-button",
        type: "button",
        on: {
          click: () => {
            const file = new File([this.#field.value], t("chat.note.filename"), { type: "text/plain" });
            this.#field.value = "";
            this.attach([file]);
          },
        },
      },
      t("chat.note.as-file"),
    );
  }
}
