// @ts-check
/** The display names of people who are in no direct conversation with the user. */

/** @typedef {import("../store.js").Store} Store */

/** @type {WeakSet<Store>} the stores that know everybody's name */
const learned = new WeakSet();

/**
 * Loads everybody's display names, once, if a conversation may need them.
 * @param {Store} store
 * @param {import("../types.js").Place} place
 * @returns {Promise<boolean>} whether there are new ones
 */
export async function learnNames(store, place) {
  const known = place.kind === "u" && store.conversation(place) !== undefined;
  if (known || place.name.includes("@") || learned.has(store)) return false;
  learned.add(store);
  try {
    await store.users();
    return true;
  } catch {
    learned.delete(store); // the addresses are shown instead
    return false;
  }
}
