// @ts-check
/** A picture in a dialog, as large as the window allows. */

import { h } from "../dom.js";
import { language, t } from "../i18n.js";
import { iconButton } from "../ui.js";
import { fileUrl, sizeText } from "./files.js";

/** @typedef {import("../types.js").Attachment} Attachment */

/** @param {Attachment} file */
export function openLightbox(file) {
  const close = () => dialog.close();
  const closing = iconButton("close", t("chat.close"));
  closing.addEventListener("click", close);
  const image = h("img", { class: "lightbox-image", alt: t("chat.picture", { name: file.name }) });
  image.setAttribute("src", fileUrl(file.code, true));
  const dialog = /** @type {HTMLDialogElement} */ (
    h(
      "dialog",
      {
        class: "lightbox",
        "aria-label": t("chat.picture", { name: file.name }),
        on: {
          close: () => dialog.remove(),
          // A click beside the picture closes it.
          click: (/** @type {Event} */ event) => {
            const beside =
              /** @type {Element} */ (event.target).closest("img, a, button, .lightbox-about") === null;
            if (beside) close();
          },
        },
      },
      h(
        "div",
        { class: "lightbox-head" },
        h(
          "p",
          { class: "lightbox-about" },
          h("bdi", null, file.name),
          " · ",
          sizeText(file.size, language()),
        ),
        h("a", { class: "lightbox-download", href: fileUrl(file.code), download: file.name }, t("chat.save")),
        closing,
      ),
      h("div", { class: "lightbox-stage" }, image),
    )
  );
  document.body.append(dialog);
  dialog.showModal();
}
