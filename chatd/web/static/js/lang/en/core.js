// @ts-check
/** The texts that every page needs, in English. */

/** @type {Record<string, string>} */
export default {
  "app.skip": "Skip to the content",
  "app.waiting": "Waiting for the realm",
  "app.waiting.hint": "It does not respond at the moment. This page continues as soon as it does.",
  "app.not-shown": "This page could not be shown",
  "app.not-shown.hint": "The connection may have been lost. Nothing you wrote is lost. Load the page again.",
  "app.ended": "Your session has ended; log in again. Nothing you wrote is lost.",
  "app.reload": "Load again",

  "nav.label": "Main",
  "nav.chats": "Chats",
  "nav.contacts": "Contacts",
  "nav.groups": "Groups",
  "nav.rooms": "Rooms",
  "nav.realms": "Realms",
  "nav.settings": "Settings",
  "nav.files": "Files",
  "nav.search": "Search",
  "nav.new": "New chat",

  "link.again": "Connecting again…",
  "link.kept": "What you send meanwhile is kept and sent automatically.",
  "link.offline": "You are offline. What you send meanwhile is kept and sent automatically.",
  "link.now": "Try now",

  "list.label": "Conversations",
  "list.address": "Your address, for people of other realms",
  "list.filter": "Show",
  "list.all": "All",
  "list.people": "People",
  "list.groups": "Groups",
  "list.realms": "Other realms",
  "list.loading": "Loading your conversations…",
  "list.you": "You",
  "list.queued": "Waiting for its realm:",
  "list.sending": "Not sent yet:",
  "list.refused": "Not sent:",
  "list.deleted": "Message deleted",
  "list.opaque": "Encrypted message",
  "list.members.one": "1 member, no messages yet",
  "list.members.other": "{n} members, no messages yet",
  "list.nothing": "No messages yet",

  "home.label": "Welcome",
  "home.hello": "Hello, {name}",
  "home.hint": "Choose a conversation on the left, or start a new one. Ctrl K searches all messages.",

  "ui.back": "Back",
  "ui.loading": "Loading…",
  "ui.offline": "offline",
  "ui.online": "online",
  "ui.unread.one": "1 unread",
  "ui.unread.other": "{n} unread",
};
