// @ts-check
/**
 * A message's text without the DOM: its length, and the form in which the realm accepts it.
 *
 * The realm refuses control characters other than tabs and line ends, to protect terminals.
 */

/** The line breaks of browsers, clipboards and Unicode. */
const BREAK = /\r\n|[\n\r\v\f\u0085\u2028\u2029]/gu;

/** The other control characters that the realm refuses; they may come from the clipboard. */
const CONTROL = /[\u0000-\u0008\u000e-\u001f\u007f-\u009f]/gu;

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
