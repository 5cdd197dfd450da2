// @ts-check
/**
 * The page's texts, in the chosen language, or else in the browser's.
 *
 * Texts come in blocks, `lang/<language>/<block>.js`, a flat object each. `core` is loaded first; a route names
 * the blocks that its view needs, and the router loads them before the view.
 */

/** @typedef {"en" | "id"} Language */

const LANGUAGES = /** @type {const} */ (["en", "id"]);
const STORED = "chatd.language";

/** @type {Record<string, string>} */
let texts = {};
/** @type {Language} */
let current = "en";
const blocks = new Set(["core"]);
let plural = new Intl.PluralRules("en");
let numbers = new Intl.NumberFormat("en");

/** The current language. */
export function language() {
  return current;
}

/** The locale for times and numbers, such as `en-GB`. */
export function locale() {
  const wanted = globalThis.navigator?.languages ?? [];
  return wanted.find((each) => each.toLowerCase().split("-")[0] === current) ?? current;
}

/** The language chosen before, or else the browser's. @returns {Language} */
export function preferredLanguage() {
  const wanted = [remembered(), ...(globalThis.navigator?.languages ?? [])];
  for (const each of wanted) {
    const found = LANGUAGES.find((language) => each?.toLowerCase().split("-")[0] === language);
    if (found) return found;
  }
  return "en";
}

function remembered() {
  try {
    return localStorage.getItem(STORED);
  } catch {
    return null;
  }
}

/**
 * Switches to a language and loads its texts for all blocks in use. The caller has to redraw the views.
 * @param {Language} wanted
 * @param {{remember?: boolean}} [options]
 * @returns {Promise<void>}
 */
export async function setLanguage(wanted, { remember = true } = {}) {
  texts = Object.assign({}, ...(await Promise.all([...blocks].map((block) => load(wanted, block)))));
  current = wanted;
  plural = new Intl.PluralRules(wanted);
  numbers = new Intl.NumberFormat(locale());
  if (globalThis.document) document.documentElement.lang = wanted;
  if (remember) {
    try {
      localStorage.setItem(STORED, wanted);
    } catch {
      // It lasts until the page is closed.
    }
  }
}

/** Loads more blocks in the current language. @param {...string} wanted */
export async function needTexts(...wanted) {
  const missing = wanted.filter((block) => !blocks.has(block));
  for (const [at, found] of (await Promise.all(missing.map((block) => load(current, block)))).entries()) {
    blocks.add(missing[at]);
    Object.assign(texts, found);
  }
}

/** @param {Language} wanted @param {string} block @returns {Promise<Record<string, string>>} */
async function load(wanted, block) {
  return (await import(`./lang/${wanted}/${block}.js`)).default;
}

/** Whether there is such a text. @param {string} key */
export function hasText(key) {
  return key in texts || `${key}.other` in texts;
}

/**
 * A text with its `{placeholders}` filled in. With `n` among the params, `key.one` or `key.other` is taken
 * where there is no plain `key`.
 * @param {string} key
 * @param {Record<string, string | number>} [params]
 * @returns {string}
 */
export function t(key, params = {}) {
  let text = texts[key];
  if (text === undefined && typeof params.n === "number") {
    text = texts[`${key}.${plural.select(params.n)}`] ?? texts[`${key}.other`];
  }
  if (text === undefined) return key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in params ? shown(params[name]) : whole));
}

const BIDI = /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc]/;

/** A value for a sentence, isolated if its direction may differ.
 * @param {string | number} value
 */
function shown(value) {
  if (typeof value === "number") return numbers.format(value);
  return BIDI.test(value) ? `\u2068${value}\u2069` : value;
}
