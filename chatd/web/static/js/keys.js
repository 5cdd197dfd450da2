// @ts-check
/** Names: the form in which they are compared, and how they are shown. */

/**
 * The form in which names and addresses are compared, as in chatd/base/names.py.
 * @param {string} name
 */
export function keyOf(name) {
  return name.normalize("NFKC").toLowerCase().replaceAll("ß", "ss").replaceAll("ς", "σ").normalize("NFKC");
}

const ARCHIVE_SIGN = "~"; // as in chatd/base/names.py

/** Whether a name is that of a conversation that the user has imported. @param {string | null | undefined} name */
export function isImported(name) {
  return Boolean(name?.startsWith(ARCHIVE_SIGN));
}

const SHOWN = 20; // characters of the name of a person elsewhere, so that the realm stays in sight

/**
 * What a person is called: `Lionel Messi`, or `Lionel Messi @realm1` if they are in another realm. A name that looks
 * like an address does not hide the person's own one.
 * @param {string} address without the user's own realm
 * @param {string} [name] the display name, if it is known
 */
export function shownName(address, name) {
  if (isImported(address)) return address.slice(ARCHIVE_SIGN.length);
  const at = address.lastIndexOf("@");
  const disguised = name !== undefined && keyOf(name).includes("@");
  if (at < 0) return disguised ? `${name} (${address})` : (name ?? address);
  if (name === undefined || disguised || keyOf(name) === keyOf(address.slice(0, at))) return address;
  const letters = [...name];
  return `${letters.length > SHOWN ? `${letters.slice(0, SHOWN).join("")}…` : name} ${address.slice(at)}`;
}
