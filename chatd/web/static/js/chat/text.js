// @ts-check
/**
 * A message's text without the DOM: its length, its links, and the form in which the realm accepts it.
 *
 * The realm refuses control characters other than tabs and line ends, to protect terminals.
 */

/** The line breaks of browsers, clipboards and Unicode. */
const BREAK = /\r\n|[\n\r\v\f\u0085\u2028\u2029]/gu;

/** The other control characters that the realm refuses; they may come from the clipboard. */
const CONTROL = /[\u0000-\u0008\u000e-\u001f\u007f-\u009f]/gu;

/** URLs that become links. An invisible character ends one, so that it leads where it seems to lead. */
const LINK = /\bhttps?:\/\/[^\s<>"\p{Cc}\p{Cf}]+/giu;

const ONE_EMOJI =
  "(?:\\p{Regional_Indicator}{2}|[0-9#*]\\ufe0f?\\u20e3|" +
  "(?:\\p{Emoji_Presentation}|\\p{Extended_Pictographic})[\\ufe0f\\p{Emoji_Modifier}]*[\\u{e0020}-\\u{e007f}]*" +
  "(?:\\u200d\\p{Extended_Pictographic}[\\ufe0f\\p{Emoji_Modifier}]*)*)";
const FEW_EMOJI = new RegExp(`^\\s*(?:${ONE_EMOJI}\\s*){1,6}$`, "u");

const MAX_EMOJI_LENGTH = 200; // UTF-16 units that six emoji can't exceed; longer texts are not searched

const encoder = new TextEncoder();

/**
 * The length of a text in bytes of UTF-8, which the realm's limit counts.
 * @param {string} text
 */
export function byteLength(text) {
  return encoder.encode(text).length;
}

/**
 * A text as it is sent: without refused characters, and without blank lines at its ends. Empty if nothing is left.
 * @param {string} text
 * @returns {string}
 */
export function sendable(text) {
  const clean = text.replace(BREAK, "\n").replace(CONTROL, "").toWellFormed();
  return clean.replace(/^(?:[^\S\n]*\n)+/u, "").trimEnd();
}

/**
 * Whether a text is only one to six emoji, which are shown large.
 * @param {string} text
 */
export function isFewEmoji(text) {
  return text.length <= MAX_EMOJI_LENGTH && FEW_EMOJI.test(text);
}

/**
 * A text in pieces; those with an `href` are links to http or https.
 * @param {string} text
 * @returns {{text: string, href?: string}[]}
 */
export function piecesOf(text) {
  /** @type {{text: string, href?: string}[]} */
  const pieces = [];
  let end = 0;
  for (const match of text.matchAll(LINK)) {
    const shown = withoutTail(match[0]);
    const href = addressOf(shown);
    if (href === null) continue;
    if (match.index > end) pieces.push({ text: text.slice(end, match.index) });
    pieces.push({ text: shown, href });
    end = match.index + shown.length;
  }
  if (end < text.length) pieces.push({ text: text.slice(end) });
  return pieces;
}

/**
 * A link without the punctuation of the sentence around it.
 * @param {string} link
 */
function withoutTail(link) {
  let end = link.length;
  let open = count(link, "(") - count(link, ")");
  while (end > 0) {
    const last = link[end - 1];
    if (last === ")" && open < 0) open += 1;
    else if (!/[.,;:!?'’”»*_~\]}…]/u.test(last)) break;
    end -= 1;
  }
  return link.slice(0, end);
}

/**
 * @param {string} text
 * @param {string} character
 */
function count(text, character) {
  return text.split(character).length - 1;
}

/**
 * The URL if it may be a link, else null. A URL with a user name before an `@` could pose as another host's.
 * @param {string} link
 * @returns {string | null}
 */
function addressOf(link) {
  try {
    const url = new URL(link);
    const web = url.protocol === "http:" || url.protocol === "https:";
    return web && url.username === "" && url.password === "" ? url.href : null;
  } catch {
    return null;
  }
}
