// @ts-check
/** Errors whose own sentence names commands that this page does not have. All others are shown as they are. */

/** @type {Record<string, string>} */
export default {
  "error.not-logged-in": "Log in first.",
  "error.unknown-command": "This page has another version than its realm. Load it again.",
  "error.usage": "This page has another version than its realm. Load it again.",
  "error.empty-text": "The text is missing. Write something first.",
  "error.not-in-room": "You are not in a room. Join one first.",
  "error.password-mismatch": "The two passwords differ. Type them again.",
  "error.line-too-long": "That is too long. Send it in parts, or as a file.",
};
