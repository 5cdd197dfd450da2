// @ts-check
/** What the list of conversations says while there are none, in English. */

/** @type {Record<string, string>} */
export default {
  "list.empty": "No conversations yet",
  "list.empty.hint": "Write to somebody, or join a group that you were told of.",
  "list.no-people": "No private conversations yet",
  "list.no-people.hint": "Write to somebody: all you need is their username.",
  "list.no-groups": "You are in no group yet",
  "list.no-groups.hint": "Join one by its name or code, or make your own.",
  "list.no-realms": "Nothing from other realms yet",
  "list.no-realms.hint": "Write to somebody there as user@realm.",
  "list.write": "Write to somebody",
  "list.groups.open": "Find a group",
  "list.realms.open": "See the realms",
};
