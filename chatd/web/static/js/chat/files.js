// @ts-check
/** Facts about a file, without the DOM: its URL, its kind, its size. */

/** The types that the realm serves inline; all others are downloads. */
const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"]);

const MAX_PREVIEW = 10 * 1024 * 1024; // bytes; larger pictures are cards, loaded on demand

/**
 * @param {string} code
 * @param {boolean} [inline]
 */
export function fileUrl(code, inline = false) {
  return `/files/${encodeURIComponent(code)}${inline ? "?inline" : ""}`;
}

/**
 * A file of the room that the session is in.
 * @param {string} code
 */
export function roomFileUrl(code) {
  return `/files/${encodeURIComponent(code)}?room`;
}

/**
 * @param {string} mime
 * @param {number} size bytes
 */
export function isPreviewed(mime, size) {
  return PICTURES.has(mime) && size <= MAX_PREVIEW;
}

const MAX_ANIMATION = 1024 * 1024; // bytes; thumbnails do not move
const TALLEST = 0.6; // width by height
const WIDEST = 2.4;

/**
 * Where the picture in a bubble comes from; null if the file is shown as a card.
 * @param {import("../types.js").Attachment} file
 */
export function previewUrl({ code, mime, size, thumbnail }) {
  const moves = mime === "image/gif" && size <= MAX_ANIMATION;
  if (thumbnail !== undefined && !moves) return thumbnail;
  return isPreviewed(mime, size) ? fileUrl(code, true) : null;
}

/**
 * The custom properties that reserve the space of a picture before it is loaded.
 * @param {import("../types.js").Attachment} file
 * @returns {Record<string, string>}
 */
export function spaceOf({ width, height }) {
  if (!width || !height) return {};
  const ratio = Math.min(WIDEST, Math.max(TALLEST, width / height));
  return { "--ratio": ratio.toFixed(3), "--natural": `${width}px` };
}

/**
 * The extension of a file name, for the icon: up to four letters, or empty.
 * @param {string} name
 */
export function endingOf(name) {
  return /\.([A-Za-z0-9]{1,4})$/.exec(name)?.[1].toUpperCase() ?? "";
}

/**
 * The kind of a file, as in the texts chat.kind.*.
 * @param {string} mime
 */
export function kindOf(mime) {
  const [family, kind = ""] = mime.split("/");
  if (["image", "audio", "video", "text"].includes(family)) return family;
  if (kind === "pdf") return "pdf";
  return /zip|tar|compressed|7z|rar/.test(kind) ? "archive" : "file";
}

/**
 * A size as text, in units of 1,000.
 * @param {number} size bytes
 * @param {string} language BCP 47
 */
export function sizeText(size, language) {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"];
  let value = size;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit > 0 && value < 9.95 ? 1 : 0;
  return new Intl.NumberFormat(language, {
    style: "unit",
    unit: units[unit],
    unitDisplay: unit === 0 ? "long" : "short",
    maximumFractionDigits: digits,
  }).format(value);
}
