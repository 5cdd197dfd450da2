// @ts-check
/** Sentences for errors. The first page needs none. */

import { ChatError, LinkLost } from "./errors.js";
import { hasText, t } from "./i18n.js";

/**
 * A sentence for an error: `error.<code>` if there is one, else the realm's own. Numbers in the realm's
 * sentence are available as `{1}`, `{2}`.
 * @param {unknown} error
 * @returns {string}
 */
export function tError(error) {
  if (error instanceof LinkLost) return t("error.link-lost");
  const refusal = /** @type {{code?: unknown, message?: unknown} | null} */ (error);
  if (!(error instanceof ChatError) && typeof refusal?.code !== "string") return t("error.unexpected");
  const key = `error.${refusal?.code}`;
  const message = String(refusal?.message ?? "");
  if (!hasText(key)) return message || t("error.unexpected");
  const found = message.match(/\d+/g) ?? [];
  const sentence = t(key, Object.fromEntries(found.map((number, at) => [String(at + 1), Number(number)])));
  return refusal?.code === "internal" ? `${sentence} (${message})` : sentence;
}
