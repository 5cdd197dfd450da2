// @ts-check
/** Names: the form in which they are compared, and how they are shown. */

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
