// @ts-check
/** The texts of the login and registration pages, in English. */

/** @type {Record<string, string>} */
export default {
  "login.title": "Log in",
  "login.intro": "Welcome to {realm}.",
  "login.username": "Username",
  "login.password": "Password",
  "login.submit": "Log in",
  "login.new": "New here?",
  "login.register": "Make an account",
  "login.closed": "This realm does not accept new accounts. If you need one, ask its operator.",

  "register.title": "Make an account",
  "register.intro": "All you need is a name and a password.",
  "register.username.hint": "How others write to you. Letters, digits, dots, underscores and hyphens.",
  "register.username.bad": "Use only letters, digits, dots, underscores and hyphens, without spaces.",
  "register.password.hint.one": "At least 1 character.",
  "register.password.hint.other": "At least {n} characters. A few words are better than one.",
  "register.name": "Your name (optional)",
  "register.name.hint": "What others see in their lists.",
  "register.country": "Country (optional)",
  "register.submit": "Make the account",
  "register.known": "Have an account?",
  "register.login": "Log in",
  "register.closed": "No new accounts here",
  "register.closed.hint": "This realm is closed to new people. Ask its operator for an account.",
};
