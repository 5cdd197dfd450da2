// @ts-check
/** Texts that all pages but the list of conversations need, in English. */

/** @type {Record<string, string>} */
export default {
  "app.said": "{name}: {text}",
  "app.said-in": "{name} in {group}: {text}",
  "app.in": "{name} in {group}",
  "app.file": "File {name}",
  "app.invited": "{name} invites you to {group}",
  "app.invited.show": "Show",

  "out.unsent.title": "Log out anyway?",
  "out.unsent.one": "One message has not been sent yet. It is lost if you log out.",
  "out.unsent.other": "{n} messages have not been sent yet. They are lost if you log out.",
  "out.anyway": "Log out",

  "ui.cancel": "Cancel",
  "ui.close": "Close",
  "ui.required": "{label} is missing.",
  "ui.save": "Save",
  "ui.show-password": "Show the password",
  "ui.too-short.one": "At least 1 character, please.",
  "ui.too-short.other": "At least {n} characters, please.",

  "error.link-lost": "The realm could not be reached. Try again in a moment.",
  "error.unexpected": "Something went wrong in this page. Load it again and try once more.",
  "error.http": "A server between this page and the realm refused the request. Try again in a moment.",
};
