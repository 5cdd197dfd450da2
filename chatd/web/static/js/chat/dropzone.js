// @ts-check
/** Files that are dropped on a conversation. */

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { icon } from "../ui.js";
import { filesOf } from "./tray.js";

/**
 * @param {HTMLElement} target
 * @param {(files: File[]) => void} dropped
 * @returns {() => void} ends it
 */
export function dropZone(target, dropped) {
  const sheet = h(
    "div",
    { class: "drop-sheet", hidden: true, "aria-hidden": "true" },
    icon("attach"),
    h("p", null, t("chat.drop")),
  );
  target.append(sheet);
  let depth = 0; // dragenter and dragleave fire for each element below the pointer
  /** @param {number} now */
  const over = (now) => {
    depth = Math.max(0, now);
    sheet.hidden = depth === 0;
  };
  /** @type {Record<string, (event: DragEvent) => void>} */
  const listeners = {
    dragenter: (event) => hasFiles(event) && over(depth + 1),
    dragleave: (event) => hasFiles(event) && over(depth - 1),
    dragover: (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      if (event.dataTransfer) event.dataTransfer.dropEffect = "copy";
    },
    drop: (event) => {
      if (!hasFiles(event)) return;
      event.preventDefault();
      over(0);
      const files = filesOf(event.dataTransfer);
      if (files.length > 0) dropped(files);
    },
  };
  for (const [type, listener] of Object.entries(listeners)) {
    target.addEventListener(type, /** @type {EventListener} */ (listener));
  }
  return () => {
    for (const [type, listener] of Object.entries(listeners)) {
      target.removeEventListener(type, /** @type {EventListener} */ (listener));
    }
  };
}

/** @param {DragEvent} event */
function hasFiles(event) {
  return event.dataTransfer?.types.includes("Files") ?? false;
}
