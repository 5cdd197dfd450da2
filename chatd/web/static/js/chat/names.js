// @ts-check
/** The display names of people who are in no direct conversation with the user. */

/** @typedef {import("../types.js").App} App */
/** @typedef {import("../types.js").Place} Place */
/** @typedef {import("../store.js").Store} Store */

const FEW = 200; // members of a group that are all asked for, to learn the names of some

/** @type {WeakSet<Store>} the stores that know the name of everybody here */
const learned = new WeakSet();
/** @type {WeakMap<Store, Set<string>>} the keys of the groups whose members were asked for */
const asked = new WeakMap();

/**
 * Loads the display names that a conversation needs.
 * @param {App} app
 * @param {Place} place
 * @returns {Promise<boolean>} whether there are new ones
 */
export async function learnNames(app, place) {
  const found = await Promise.all([learnHere(app, place), learnElsewhere(app, place)]);
  return found.includes(true);
}

/** Everybody's in this realm, once. @param {App} app @param {Place} place */
async function learnHere({ store }, place) {
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

/** Those of a group's authors in other realms, once for each group. @param {App} app @param {Place} place */
async function learnElsewhere({ store, connection, log }, place) {
  const before = asked.get(store) ?? new Set();
  asked.set(store, before);
  if (place.kind === "u" || before.has(place.key)) return false;
  if (!log.messages(place).some(({ from }) => from.includes("@") && store.displayName(from) === from)) return false;
  before.add(place.key);
  try {
    const group = place.name;
    // The list of conversations counts only the members of this realm in a group that lives elsewhere.
    const known = group.includes("@") ? await connection.request("group", { group }) : store.conversation(place);
    if ((known?.members ?? Infinity) > FEW) return false;
    const reply = await connection.request("members", { group });
    store.meet(reply.members ?? []);
    return true;
  } catch {
    before.delete(place.key); // the addresses are shown instead
    return false;
  }
}
