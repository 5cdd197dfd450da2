// @ts-check
/** The texts of the empty list of conversations, in English. */

/** @type {Record<string, string>} */
export default {
  "list.empty": "No conversations yet",
  "list.empty.hint": "Write to someone, or join a group you know of.",
  "list.no-people": "No private conversations yet",
  "list.no-people.hint": "Write to someone: all you need is their username.",
  "list.no-groups": "You are not in a group yet",
  "list.no-groups.hint": "Join one by its name or code, or create your own.",
  "list.no-realms": "Nothing from other realms yet",
  "list.no-realms.hint": "Write to someone there as user@realm.",
  "list.no-archived": "The archive is empty",
  "list.no-archived.hint": "The menu of a conversation archives it.",
  "list.write": "Write to someone",
  "list.groups.open": "Find a group",
  "list.realms.open": "Show the realms",
};
