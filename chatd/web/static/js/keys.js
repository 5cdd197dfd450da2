// @ts-check
/** Keys: the form in which names are compared, and the idempotency keys of sends. */

/**
 * The form in which names and addresses are compared, as in chatd/base/names.py.
 * @param {string} name
 */
export function keyOf(name) {
  return name.normalize("NFKC").toLowerCase().replaceAll("ß", "ss").replaceAll("ς", "σ").normalize("NFKC");
}

/** A random idempotency key for a send: 22 characters of base64url. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
