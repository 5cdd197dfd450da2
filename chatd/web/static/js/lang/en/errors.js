// @ts-check
/** Refusals whose own sentence speaks of commands that this page does not have. All others say it well themselves. */

/** @type {Record<string, string>} */
export default {
  "error.not-logged-in": "Log in first.",
  "error.unknown-command": "This page is of another version than its realm. Load it again.",
  "error.usage": "This page is of another version than its realm. Load it again.",
  "error.empty-text": "There is no text. Write something first.",
  "error.not-in-room": "You are in no room. Go into one first.",
  "error.password-mismatch": "The two passwords differ. Type them again.",
  "error.line-too-long": "That is too long. Send it in parts, or as a file.",
};
