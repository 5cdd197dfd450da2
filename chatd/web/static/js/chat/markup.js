// @ts-check
/**
 * A message's text as blocks and spans. The DOM is elsewhere (rich.js).
 *
 * It knows a small part of Markdown: **bold**, *italic* or _italic_, ~~strike~~, `code`, blocks of code between lines
 * of three backticks, lines that begin with >, [label](address), and bare addresses. A mark counts only at the edge
 * of a word, so that 2*3*4 and snake_case_names stay as they are. What is not closed in its line stays as it is.
 */

/**
 * @typedef {{kind: "text", text: string}
 *   | {kind: "code", text: string}
 *   | {kind: "link", text: string, href: string, labelled: boolean}
 *   | {kind: Emphasis, inside: Span[]}} Span
 * @typedef {"bold" | "italic" | "strike"} Emphasis
 * @typedef {{kind: "text" | "quote", spans: Span[]} | {kind: "code", text: string}} Block
 */

/** An invisible character ends an address, so that it leads where it seems to lead. */
const CHARACTER = "[^\\s<>\"\\p{Cc}\\p{Cf}]";
const TOKEN = new RegExp(
  [
    "(?<tick>`+)",
    `\\[(?<label>[^[\\]\\n]{1,200})\\]\\((?<to>(?:https?://|mailto:)(?:(?![()])${CHARACTER}){1,2000})\\)`,
    `(?<bare>\\b(?:https?://|mailto:)${CHARACTER}+)`,
    "(?<mark>\\*\\*|~~|[*_])",
    "(?<end>\\n)",
  ].join("|"),
  "giu",
);
const FENCE = /^```[\w+#.-]*[^\S\n]*$/u;

/** @type {Record<string, Emphasis>} */
const KINDS = { "**": "bold", "*": "italic", _: "italic", "~~": "strike" };

/**
 * @param {string} text
 * @returns {Block[]}
 */
export function blocksOf(text) {
  const lines = text.split("\n");
  const closing = closingFences(lines);
  /** The line that closes the block of code that begins at this one, or 0. @param {number} at */
  const endOfCode = (at) => (FENCE.test(lines[at]) && closing[at + 1] > at + 1 ? closing[at + 1] : 0);
  /** @type {Block[]} */
  const blocks = [];
  for (let at = 0; at < lines.length; ) {
    const from = at;
    const end = endOfCode(at);
    if (end > 0) {
      blocks.push({ kind: "code", text: lines.slice(from + 1, end).join("\n") });
      at = end + 1;
      continue;
    }
    const quote = lines[at].startsWith(">");
    do at += 1;
    while (at < lines.length && lines[at].startsWith(">") === quote && endOfCode(at) === 0);
    const mine = lines.slice(from, at).map((line) => (quote ? line.replace(/^> ?/u, "") : line));
    blocks.push({ kind: quote ? "quote" : "text", spans: spansOf(mine.join("\n")) });
  }
  return blocks;
}

/** For each line, which line from it on closes a block of code. @param {string[]} lines */
function closingFences(lines) {
  let next = 0; // none
  return lines.map((_, at) => lines.length - 1 - at).map((at) => (next = lines[at].trimEnd() === "```" ? at : next)).reverse();
}

/** @param {string} text @returns {Span} */
function textSpan(text) {
  return { kind: "text", text };
}

/**
 * @param {string} text
 * @returns {Span[]}
 */
export function spansOf(text) {
  const open = new Nest();
  const closing = closingTicks(text);
  TOKEN.lastIndex = 0;
  let done = 0;
  for (let match = TOKEN.exec(text); match !== null; match = TOKEN.exec(text)) {
    const { tick, label, to, bare, mark } = match.groups ?? {};
    const at = match.index;
    let end = at + match[0].length;
    /** @type {Span | null} */
    let span = null;
    if (tick) {
      const close = closing.get(at);
      if (close === undefined) continue;
      span = { kind: "code", text: text.slice(end, close) };
      end = close + tick.length;
    } else if (bare || to) {
      const shown = label ?? withoutTail(bare);
      const href = addressOf(to ?? shown);
      if (href === null) continue;
      span = { kind: "link", text: shown, href, labelled: Boolean(label) };
      if (bare) end = at + shown.length;
    }
    open.text(text.slice(done, at));
    if (span) open.add(span);
    else if (mark) open.mark(mark, opens(text, at, mark), closes(text, at, mark));
    else if (!span) open.endLine(match[0]);
    done = TOKEN.lastIndex = end;
  }
  open.text(text.slice(done));
  return open.close();
}

/** Spans under construction, with the marks that are still open. */
class Nest {
  /** @type {{mark: string, spans: Span[]}[]} */
  #open = [{ mark: "", spans: [] }];

  get #here() {
    return this.#open[this.#open.length - 1].spans;
  }

  /** @param {string} text */
  text(text) {
    if (text !== "") this.#here.push(textSpan(text));
  }

  /** @param {Span} span */
  add(span) {
    this.#here.push(span);
  }

  /** @param {string} mark @param {boolean} opens @param {boolean} closes */
  mark(mark, opens, closes) {
    const at = this.#open.findIndex((each) => each.mark === mark);
    if (at > 0 && closes && this.#open[at].spans.length > 0) {
      this.#giveUp(at + 1);
      const { spans } = /** @type {{spans: Span[]}} */ (this.#open.pop());
      this.add({ kind: KINDS[mark], inside: joined(spans) });
    } else if (at < 0 && opens) {
      this.#open.push({ mark, spans: [] });
    } else {
      this.text(mark);
    }
  }

  /** @param {string} text the line end */
  endLine(text) {
    this.#giveUp(1);
    this.text(text);
  }

  /** All spans. */
  close() {
    this.#giveUp(1);
    return joined(this.#open[0].spans);
  }

  /** @param {number} from the first mark that does not count */
  #giveUp(from) {
    while (this.#open.length > from) {
      const { mark, spans } = /** @type {{mark: string, spans: Span[]}} */ (this.#open.pop());
      this.#here.push(textSpan(mark), ...spans);
    }
  }
}

/** Spans with neighbouring texts as one. @param {Span[]} spans @returns {Span[]} */
function joined(spans) {
  /** @type {Span[]} */
  const found = [];
  for (const span of spans) {
    const last = found.at(-1);
    if (last?.kind === "text" && span.kind === "text") last.text += span.text;
    else found.push({ ...span });
  }
  return found;
}

/** For each run of backticks, where the next run of the same length is. @param {string} text */
function closingTicks(text) {
  /** @type {Map<number, number>} */
  const closing = new Map();
  /** @type {Map<number, number>} */
  const next = new Map();
  for (const { index, 0: run } of [...text.matchAll(/`+/gu)].reverse()) {
    const close = next.get(run.length);
    if (close !== undefined) closing.set(index, close);
    next.set(run.length, index);
  }
  return closing;
}

/** Whether a mark may open there. @param {string} text @param {number} at @param {string} mark */
function opens(text, at, mark) {
  const [before, after] = [text[at - 1] ?? " ", text[at + mark.length] ?? " "];
  return /\S/u.test(after) && after !== mark[0] && !isWord(before, mark);
}

/** Whether a mark may close there. @param {string} text @param {number} at @param {string} mark */
function closes(text, at, mark) {
  const [before, after] = [text[at - 1] ?? " ", text[at + mark.length] ?? " "];
  return /\S/u.test(before) && before !== mark[0] && !isWord(after, mark);
}

/**
 * Whether a character belongs to a word, at whose edge a mark does not count. Scripts without spaces have double marks
 * within their words.
 * @param {string} character
 * @param {string} mark
 */
function isWord(character, mark) {
  return character === mark[0] || (mark.length > 1 ? /\w/u : /[\p{L}\p{N}\p{M}_]/u).test(character);
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
    const safe = ["http:", "https:", "mailto:"].includes(url.protocol);
    return safe && url.username === "" && url.password === "" ? url.href : null;
  } catch {
    return null;
  }
}
