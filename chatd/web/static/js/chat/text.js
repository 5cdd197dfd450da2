// @ts-check
/**
 * What can be said about a message's text without a page: its length, its lines, its links.
 *
 * The realm refuses control characters other than tab, line breaks among them, so that no one can paint
 * on another's terminal. That is why what one writes here is sent line by line.
 */

/** Where a line ends, for a browser, a clipboard or Unicode. */
const BREAK = /\r\n|[\n\r\v\f\u0085\u2028\u2029]/u;

/** What the realm refuses, apart from line breaks; a text may come with it from the clipboard. */
const CONTROL = /[\u0000-\u0008\u000e-\u001f\u007f-\u009f]/gu;

/** The addresses that become links. Invisible characters end one, so that it goes where it shows. */
const LINK = /\bhttps?:\/\/[^\s<>"\p{Cc}\p{Cf}]+/giu;

const ONE_EMOJI =
  "(?:\\p{Regional_Indicator}{2}|[0-9#*]\\ufe0f?\\u20e3|" +
  "(?:\\p{Emoji_Presentation}|\\p{Extended_Pictographic})[\\ufe0f\\p{Emoji_Modifier}]*[\\u{e0020}-\\u{e007f}]*" +
  "(?:\\u200d\\p{Extended_Pictographic}[\\ufe0f\\p{Emoji_Modifier}]*)*)";
const FEW_EMOJI = new RegExp(`^\\s*(?:${ONE_EMOJI}\\s*){1,6}$`, "u");

const LONGEST_EMOJI = 200; // UTF-16 units that six emoji can't exceed; longer texts aren't looked at

const encoder = new TextEncoder();

/**
 * How many bytes of UTF-8 a text has, which is what the realm's limit counts.
 * @param {string} text
 */
export function byteLength(text) {
  return encoder.encode(text).length;
}

/**
 * The messages that a text becomes: its lines without what the realm refuses, and without empty ones.
 * @param {string} text
 * @returns {string[]}
 */
export function linesOf(text) {
  return text
    .split(BREAK)
    .map((line) => line.replace(CONTROL, "").toWellFormed().trimEnd())
    .filter((line) => line.trim() !== "");
}

/**
 * Whether a text is one to six emoji and nothing else: those are shown large.
 * @param {string} text
 */
export function isFewEmoji(text) {
  return text.length <= LONGEST_EMOJI && FEW_EMOJI.test(text);
}

/**
 * A text cut into pieces, those with an `href` being links to http or https.
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
 * A link without the full stop or bracket of the sentence around it.
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
 * The address if it may be a link. One with a name before an `@` may pose as another host's: no link.
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
