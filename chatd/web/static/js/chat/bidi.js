// @ts-check
/** Bidirectional formatting in messages (Unicode Annex 9): shown as written, and closed at the end. */

/**
 * `text` with all its bidirectional formatting closed, so that it affects nothing else. As in chatd/base/characters.py.
 * @param {string} text
 */
export function isolated(text) {
  if (!/[\u202a-\u202e\u2066-\u2069]/u.test(text)) return text;
  let ends = ""; // that close what is open, the innermost first
  const shown = text.replace(/[\u202a-\u202e\u2066-\u2069]/gu, (mark) => {
    if (mark !== "\u202c" && mark !== "\u2069") {
      ends = (mark < "\u2066" ? "\u202c" : "\u2069") + ends;
      return mark;
    }
    const size = mark === "\u202c" ? Number(ends.startsWith(mark)) : ends.indexOf(mark) + 1;
    const closed = ends.slice(0, size); // the end of an isolate closes what began within it
    ends = ends.slice(size);
    return closed;
  });
  return `\u2068${shown}${ends}\u2069`;
}
