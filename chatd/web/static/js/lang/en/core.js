// @ts-check
/** The texts that every page needs, in English. */

/** @type {Record<string, string>} */
export default {
  "app.skip": "Skip to the content",
  "app.waiting": "Waiting for the realm",
  "app.waiting.hint": "It does not answer just now. This page goes on by itself as soon as it does.",
  "app.not-shown": "This page could not be shown",
  "app.not-shown.hint": "The connection may have been lost on the way. Nothing that you wrote is gone. Load it again.",
  "app.ended": "Your session has ended; log in again. Nothing that you wrote is gone.",
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
  "link.kept": "What you send meanwhile is kept and goes out by itself.",
  "link.offline": "You are offline. What you send meanwhile is kept and goes out by itself.",
  "link.now": "Try now",

  "list.label": "Conversations",
  "list.address": "Your address, for people of other realms",
  "list.filter": "Show",
  "list.all": "All",
  "list.people": "People",
  "list.groups": "Groups",
  "list.realms": "Other realms",
  "list.loading": "Getting your conversations…",
  "list.you": "You",
  "list.queued": "Waiting for its realm:",
  "list.sending": "Not sent yet:",
  "list.refused": "Not sent:",
  "list.members.one": "1 member, nothing said yet",
  "list.members.other": "{n} members, nothing said yet",
  "list.nothing": "Nothing said yet",

  "home.label": "Welcome",
  "home.hello": "Hello, {name}",
  "home.hint": "Choose a conversation on the left, or begin a new one. Ctrl K searches all that was said.",

  "ui.back": "Back",
  "ui.loading": "Loading…",
  "ui.offline": "offline",
  "ui.online": "online",
  "ui.unread.one": "1 unread",
  "ui.unread.other": "{n} unread",
};
