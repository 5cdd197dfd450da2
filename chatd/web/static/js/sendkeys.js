// @ts-check
/** The idempotency keys of sends. */

/** A random idempotency key for a send: 22 characters of base64url. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
