// @ts-check
/**
 * Uploads a file with `PUT /uploads/<key>`, and resumes it where it stopped.
 *
 * It uses XMLHttpRequest, because fetch() does not report the progress of a body. If the connection is lost, the
 * realm keeps what has arrived; HEAD tells how much that is, and the rest follows. The key is the idempotency key
 * of the send, so a file whose answer was lost is not stored twice.
 */

import { ChatError } from "./errors.js";
import { newKey } from "./sendkeys.js";

/** @typedef {import("./types.js").Place} Place */

/**
 * @typedef {{
 *   conversation: number | null, seq: number | null, id: number | null, state?: string,
 *   name: string, size: number, sha256: string, code: string, mime: string,
 *   width?: number, height?: number, thumbnail?: string,
 * }} UploadReply
 */

/**
 * @typedef {{
 *   key?: string,
 *   onProgress?: (sent: number, total: number) => void,
 *   onPause?: (pausing: boolean) => void,
 *   signal?: AbortSignal,
 *   link?: import("./connection.js").Connection,
 * }} UploadOptions `key` is the idempotency key. `onPause` is called when the connection is lost, and when the upload
 *   is tried again. Aborting discards the file, here and at the realm. A `link` that opens ends a pause.
 */

/** @typedef {{status: number, offset: number | null, reply: any}} Answer `status` is 0 without an answer. */

const FIRST_PAUSE = 1000;
const MAX_PAUSE = 30_000;
const CHUNK = 8 << 20; // bytes of a request: proxies may limit or buffer it
const STALLED = 60_000; // ms without progress or an answer after which the connection counts as lost

/** Temporary answers of a proxy, besides all from 500 on: it gave up waiting, or has too much to do. */
const LATER = new Set([408, 425, 429]);

/** Temporary refusals, which are not about the file. */
const PASSING = new Set(["storage-failed", "disk-full", "shutting-down", "too-many-connections", "too-many-uploads"]);

/**
 * Sends a file to a conversation. Tries until it is stored, refused (ChatError) or aborted (AbortError).
 * @param {Place} place
 * @param {File} file
 * @param {UploadOptions} [options]
 * @returns {Promise<UploadReply>}
 */
export async function upload(place, file, options = {}) {
  const { key = newKey(), onProgress, onPause, signal, link } = options;
  const url = `/uploads/${key}?${new URLSearchParams({
    [place.kind === "u" ? "to" : "group"]: place.name,
    filename: file.name,
    size: String(file.size),
  })}`;
  const giveUp = () => void fetch(`/uploads/${key}`, { method: "DELETE" }).catch(() => {});
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    /** @type {number | null} */
    let offset = 0;
    for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, MAX_PAUSE)) {
      offset ??= await offsetOf(url, signal);
      if (offset !== null) {
        /** @type {number} */
        const from = offset;
        const tell = (/** @type {number} */ sent) => onProgress?.(Math.min(sent, file.size), file.size);
        const answer = await put(url, file, from, tell, signal);
        offset = answer.offset;
        if (answer.status === 202) {
          pause = FIRST_PAUSE / 2;
          continue;
        }
        if (answer.reply?.status === "OK") return answer.reply;
        if (offset !== null && offset !== from) pause = FIRST_PAUSE; // there was progress
        await refusal(answer, file);
      }
      signal?.throwIfAborted();
      onPause?.(true);
      await rest(pause, signal, link);
      onPause?.(false);
    }
  } finally {
    signal?.removeEventListener("abort", giveUp);
  }
}

/**
 * Throws if the answer is final; returns if another attempt may help.
 * @param {Answer} answer
 * @param {File} file
 */
async function refusal(answer, file) {
  const code = answer.reply?.status === "ERROR" ? answer.reply.code : null;
  if (answer.status === 0) {
    // A file that was moved or changed looks like a lost connection.
    await file
      .slice(0, 1)
      .arrayBuffer()
      .catch(() => {
        throw new ChatError("file-unreadable", "The file can't be read any more; choose it again");
      });
    return;
  }
  if (code === "upload-offset" || PASSING.has(code)) return;
  if (typeof code === "string") throw new ChatError(code, String(answer.reply.message));
  if (answer.status < 500 && !LATER.has(answer.status)) throw new ChatError("http", `The server answered ${answer.status}`);
}

/**
 * How many bytes the realm has; null without an answer.
 * @param {string} url
 * @param {AbortSignal} [signal]
 * @returns {Promise<number | null>}
 */
async function offsetOf(url, signal) {
  try {
    const answer = await fetch(url, { method: "HEAD", cache: "no-store", signal });
    if (answer.ok) return number(answer.headers.get("Upload-Offset")) ?? 0;
    // Let the PUT find out what is wrong: only its answer has a message.
    return answer.status < 500 && !LATER.has(answer.status) ? 0 : null;
  } catch {
    signal?.throwIfAborted();
    return null;
  }
}

/**
 * Sends the chunk at `offset`.
 * @param {string} url
 * @param {File} file
 * @param {number} offset
 * @param {(sent: number) => void} tell
 * @param {AbortSignal} [signal]
 * @returns {Promise<Answer>}
 */
function put(url, file, offset, tell, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    /** @type {number | undefined} */
    let watch;
    const alive = () => {
      clearTimeout(watch);
      watch = window.setTimeout(() => request.abort(), STALLED);
    };
    const abort = () => request.abort();
    request.open("PUT", url);
    request.setRequestHeader("Upload-Offset", String(offset));
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = (event) => {
      alive();
      tell(offset + event.loaded);
    };
    request.onprogress = alive;
    request.onloadend = () => {
      clearTimeout(watch);
      signal?.removeEventListener("abort", abort);
      if (signal?.aborted) reject(signal.reason);
      else resolve(answerOf(request));
    };
    if (signal?.aborted) return reject(signal.reason);
    signal?.addEventListener("abort", abort, { once: true });
    alive();
    tell(offset);
    request.send(file.slice(offset, offset + CHUNK));
  });
}

/**
 * @param {XMLHttpRequest} request
 * @returns {Answer}
 */
function answerOf(request) {
  if (request.status === 0) return { status: 0, offset: null, reply: null };
  let reply = null;
  try {
    reply = JSON.parse(request.responseText);
  } catch {
    // A proxy has answered; its status says enough.
  }
  return { status: request.status, offset: number(request.getResponseHeader("Upload-Offset")), reply };
}

/** @param {string | null} text */
function number(text) {
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/**
 * Waits for about `pause`, or until the browser is online again or the link opens.
 * @param {number} pause ms
 * @param {AbortSignal} [signal]
 * @param {import("./connection.js").Connection} [link]
 * @returns {Promise<void>}
 */
function rest(pause, signal, link) {
  return new Promise((resolve, reject) => {
    const opened = () => link?.state === "open" && done();
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener("online", done);
      link?.removeEventListener("state", opened);
      signal?.removeEventListener("abort", done);
      if (signal?.aborted) reject(signal.reason);
      else resolve();
    };
    const timer = window.setTimeout(done, pause * (0.75 + Math.random() / 2));
    window.addEventListener("online", done, { once: true });
    link?.addEventListener("state", opened);
    signal?.addEventListener("abort", done, { once: true });
  });
}
