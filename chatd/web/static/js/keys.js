// @ts-check
/** Names: the form in which they are compared, and how they are shown; and the idempotency keys of sends. */

/**
 * The form in which names and addresses are compared, as in chatd/base/names.py.
 * @param {string} name
 */
export function keyOf(name) {
  return name.normalize("NFKC").toLowerCase().replaceAll("ß", "ss").replaceAll("ς", "σ").normalize("NFKC");
}

/**
 * What a person is called: `Lionel Messi`, or `Lionel Messi @realm1` if they are in another realm. A person here whose
 * display name looks like an address shows the username too.
 * @param {string} address without the user's own realm
 * @param {string} [name] the display name, if it is known
 */
export function shownName(address, name) {
  const at = address.lastIndexOf("@");
  if (at < 0) return name && keyOf(name).includes("@") ? `${name} (${address})` : (name ?? address);
  const plain = [address, address.slice(0, at)].map(keyOf);
  if (name === undefined || plain.includes(keyOf(name))) return address;
  return `${name} ${address.slice(at)}`;
}

/** A random idempotency key for a send: 22 characters of base64url. */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
