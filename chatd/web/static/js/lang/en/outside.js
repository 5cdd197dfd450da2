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
  "login.invited": "Do you have an invitation?",
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
  "register.invited": "You are invited. All you need is a name and a password.",
  "register.invite.intro": "Here you need an invitation. Open its link, or type its code.",
  "register.invite": "Code of the invitation",
  "register.invite.hint": "The person who invited you has it. Capital letters and hyphens do not matter.",
  "register.closed": "No new accounts here",
  "register.closed.hint": "This realm is closed to new people. Ask its operator for an account.",

  "reset.title": "Choose a new password",
  "reset.intro": "The old one does not work any more after that, and all devices are logged out.",
  "reset.password": "New password",
  "reset.submit": "Change the password",
  "reset.done": "The password of {username} is changed",
  "reset.done.hint": "Log in with it.",
  "reset.login": "Log in",
  "reset.bad": "This link does not work any more",
  "reset.bad.hint": "A link works once, for an hour. Ask an operator of this realm for another.",
};
