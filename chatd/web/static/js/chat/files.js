// @ts-check
/** What can be said about a file without a page: where it is, what it is, how large. */

/** What the realm shows inline; it gives anything else as a download only. */
const PICTURES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"]);

const LARGEST_PREVIEW = 10 * 1024 * 1024; // bytes; larger pictures are cards, and loaded when asked for

/**
 * @param {string} code
 * @param {boolean} [inline]
 */
export function fileUrl(code, inline = false) {
  return `/files/${encodeURIComponent(code)}${inline ? "?inline" : ""}`;
}

/**
 * @param {string} mime
 * @param {number} size bytes
 */
export function isPreviewed(mime, size) {
  return PICTURES.has(mime) && size <= LARGEST_PREVIEW;
}

/**
 * The ending of a name, for the icon: up to four letters, or none.
 * @param {string} name
 */
export function endingOf(name) {
  return /\.([A-Za-z0-9]{1,4})$/.exec(name)?.[1].toUpperCase() ?? "";
}

/**
 * What a file is, in a word that chat.kind.* has.
 * @param {string} mime
 */
export function kindOf(mime) {
  const [family, kind = ""] = mime.split("/");
  if (["image", "audio", "video", "text"].includes(family)) return family;
  if (kind === "pdf") return "pdf";
  return /zip|tar|compressed|7z|rar/.test(kind) ? "archive" : "file";
}

/**
 * A size in words, with the units of 1,000 that disks are sold in.
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
