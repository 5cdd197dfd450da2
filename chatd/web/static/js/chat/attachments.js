// @ts-check
/**
 * Files in bubbles: pictures whose space is reserved, cards for other files, and uploads in progress.
 */

import { h } from "../dom.js";
import { language, t } from "../i18n.js";
import { button, icon } from "../ui.js";
import { openLightbox } from "./lightbox.js";
import { fileUrl, isPreviewed, kindOf, endingOf, previewUrl, sizeText, spaceOf } from "./files.js";

/** @typedef {import("../types.js").Attachment} Attachment */
/** @typedef {import("./uploads.js").Upload} Upload */

/**
 * @param {Attachment} file
 * @param {boolean} mine whether the user has sent it: then it is here, also if another realm has not got it
 * @returns {HTMLElement}
 */
export function fileBody(file, mine) {
  const { state = "here" } = file;
  if (state !== "here" && !mine) return absent(file, state);
  const url = previewUrl(file);
  const body = url === null ? card(file) : picture(file, url);
  if (state !== "lost") return body;
  return h("div", null, body, h("p", { class: "file-trouble", dir: "auto" }, icon("alert"), troubleOf(file, "lost-there")));
}

/**
 * A file whose bytes are not here.
 * @param {Attachment} file
 * @param {"arriving" | "lost"} state
 */
function absent(file, state) {
  const lost = state === "lost";
  return h(
    "div",
    { class: `file file-${state}` },
    h("span", { class: "file-icon", "aria-hidden": "true" }, icon("file"), ending(file.name)),
    h(
      "span",
      { class: "file-text" },
      h("bdi", { class: "file-name" }, file.name),
      h(
        "span",
        { class: lost ? "file-about file-trouble" : "file-about", dir: "auto" },
        icon(lost ? "alert" : "clock"),
        lost ? troubleOf(file, "lost") : t("chat.file.arriving", { size: sizeText(file.size, language()) }),
      ),
    ),
  );
}

/** @type {Record<string, string>} The texts of the reasons for which files are lost, by their codes. */
const LOSSES = {
  "file-refused": "chat.lost.refused",
  "file-gone": "chat.lost.gone",
  "file-damaged": "chat.lost.damaged",
  "file-stalled": "chat.lost.stalled",
  "file-expired": "chat.lost.expired",
  "file-missing": "chat.lost.missing",
};

/**
 * What is wrong with a lost file. A reason without a known code is in English.
 * @param {Attachment} file
 * @param {"lost" | "lost-there"} what
 */
function troubleOf({ reason, lost = "" }, what) {
  if (lost === "file-removed") return t("chat.file.removed");
  const said = t(`chat.file.${what}`);
  const why = LOSSES[lost] ? t(LOSSES[lost]) : language() === "en" ? reason : "";
  return why ? `${said}: ${why}` : said;
}

/** @param {Attachment} file @param {string} url */
function picture(file, url) {
  /** @type {HTMLImageElement} */
  const image = h("img", {
    class: "picture-image",
    alt: t("chat.picture", { name: file.name }),
    loading: "lazy",
    decoding: "async",
    on: {
      load: () => frame.classList.add("is-loaded"),
      // It may not be a picture, or be gone: the card still shows name and size.
      error: () => whole.replaceWith(card(file)),
    },
  });
  image.setAttribute("src", url);
  /** @type {HTMLButtonElement} */
  const frame = h(
    "button",
    {
      class: "picture",
      type: "button",
      "aria-haspopup": "dialog",
      style: spaceOf(file),
      on: { click: () => openLightbox(file) },
    },
    image,
  );
  /** @type {HTMLDivElement} */
  const whole = h("div", { class: "picture-body" }, frame);
  return whole;
}

/** @param {Attachment} file */
function card(file) {
  return h(
    "a",
    {
      class: "file",
      href: fileUrl(file.code),
      download: file.name,
      title: t("chat.download", { name: file.name }),
    },
    h("span", { class: "file-icon", "aria-hidden": "true" }, icon("file"), ending(file.name)),
    h(
      "span",
      { class: "file-text" },
      h("bdi", { class: "file-name" }, file.name),
      h(
        "span",
        { class: "file-about" },
        `${sizeText(file.size, language())} · ${t(`chat.kind.${kindOf(file.mime)}`)}`,
      ),
    ),
    icon("download"),
    h("span", { class: "visually-hidden" }, t("chat.download.hint")),
  );
}

/** @param {string} name */
function ending(name) {
  const letters = endingOf(name);
  return letters !== "" && h("span", { class: "file-ending" }, letters);
}

/** @type {WeakMap<Upload, string>} */
const previews = new WeakMap();

/**
 * An object URL of the picture, valid until `forgetPreview`.
 * @param {Upload} upload
 */
function previewOf(upload) {
  let url = previews.get(upload);
  if (url === undefined) previews.set(upload, (url = URL.createObjectURL(upload.file)));
  return url;
}

/** @param {Upload} upload */
export function forgetPreview(upload) {
  const url = previews.get(upload);
  if (url === undefined) return;
  URL.revokeObjectURL(url);
  previews.delete(upload);
}

/** @type {WeakMap<Upload, (upload: Upload) => void>} */
const refreshers = new WeakMap();

/**
 * Updates the progress of an upload on the page.
 * @param {Upload} upload
 */
export function refreshUpload(upload) {
  refreshers.get(upload)?.(upload);
}

/**
 * @param {Upload} upload
 * @param {(upload: Upload) => void} [cancel]
 * @returns {HTMLElement}
 */
export function uploadBody(upload, cancel) {
  const { file } = upload;
  const bar = h("progress", {
    class: "upload-bar",
    max: "100",
    "aria-label": t("chat.uploading", { name: file.name }),
  });
  const about = h("span", { class: "file-about" });
  const refresh = () => {
    const percent = file.size === 0 ? 100 : Math.floor((upload.sent / file.size) * 100);
    /** @type {HTMLProgressElement} */ (bar).value = percent;
    about.textContent = aboutUpload(upload, percent);
  };
  refreshers.set(upload, refresh);
  refresh();
  const going = upload.state !== "refused";
  return h(
    "div",
    { class: "upload" },
    isPreviewed(file.type, file.size) &&
      h("span", { class: "picture" }, h("img", { class: "picture-image", alt: "", src: previewOf(upload) })),
    h(
      "div",
      { class: "file" },
      h("span", { class: "file-icon", "aria-hidden": "true" }, icon("file"), ending(file.name)),
      h("span", { class: "file-text" }, h("bdi", { class: "file-name" }, file.name), about),
      going && cancel && button(t("chat.cancel"), { kind: "small", onClick: () => cancel(upload) }),
    ),
    going && bar,
  );
}

/**
 * @param {Upload} upload
 * @param {number} percent
 */
function aboutUpload(upload, percent) {
  const size = sizeText(upload.file.size, language());
  if (upload.state === "refused") return size;
  if (upload.state === "waiting") return t("chat.upload.waiting", { size });
  if (upload.broken) return t("chat.upload.broken");
  if (percent === 100) return t("chat.upload.finishing", { size });
  return t("chat.upload.going", { percent, size });
}
