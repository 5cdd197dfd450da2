// @ts-check
/** A dialog to choose an emoji: common ones, and a field for any other. */

import { h, uid } from "../dom.js";
import { t } from "../i18n.js";
import { button, dialog } from "../ui.js";

const COMMON = [
  ..."👍👎👏🙏💪👀🤝✌️😀😄😂🤣😊😍😘😎🤔😐😴😢😭😡😱🤯❤️💔🔥🎉✅❌❓❗💯🚀⭐☕🍕⚽🎂🌸".match(
    /\p{Extended_Pictographic}\ufe0f?/gu,
  ) ?? [],
];
const MAX_LENGTH = 32;

/** @returns {Promise<string | null>} null if the user closes it */
export function pickEmoji() {
  return new Promise((resolve) => {
    /** @type {string | null} */
    let chosen = null;
    /** @param {string} emoji */
    const choose = (emoji) => {
      chosen = emoji;
      close();
    };
    const grid = COMMON.map((emoji) =>
      h("button", { class: "emoji-choice", type: "button", on: { click: () => choose(emoji) } }, emoji),
    );
    const id = uid("emoji");
    const input = h("input", { id, class: "input", type: "text", maxlength: MAX_LENGTH, autocomplete: "off" });
    const other = h(
      "form",
      {
        class: "emoji-other",
        on: {
          submit: (/** @type {Event} */ event) => {
            event.preventDefault();
            if (input.value.trim()) choose(input.value.trim());
          },
        },
      },
      h("label", { for: id }, t("chat.emoji.other")),
      h("div", { class: "inline" }, input, button(t("chat.emoji.use"), { type: "submit" })),
    );
    const close = dialog(t("chat.emoji"), [h("div", { class: "emoji-grid" }, ...grid), other], {
      narrow: true,
      onClose: () => resolve(chosen),
    });
  });
}
