// @ts-check
/** The code of a group, to share: as it is, in a link, and as a QR code. */

import { h } from "../dom.js";
import { t } from "../i18n.js";
import { button, dialog } from "../ui.js";
import { renewButton } from "./groupsettings.js";
import { qrCode } from "./qr.js";

/** @typedef {import("../types.js").App} App */

/**
 * The address that asks whether to join the group with that code. It leads to the user's own realm, and names the
 * realm of the group, so that people of other realms can paste it into their own pages and clients.
 * @param {string} code with the realm of a group that lives elsewhere
 * @param {string} realm the user's own
 */
export function joinLink(code, realm) {
  return `${location.origin}/join/${encodeURI(code.includes("@") ? code : `${code}@${realm}`)}`;
}

/**
 * The code with buttons to share it, and one for admins that renews it.
 * @param {App} app
 * @param {string} group
 * @param {import("./groupsettings.js").Details} details
 * @param {() => void} changed
 */
export function codeBox(app, group, { code = "", admin }, changed) {
  const link = joinLink(code, app.store.realm);
  const label = t("members.copy-code", { code });
  return h(
    "div",
    { class: "code-box" },
    h(
      "div",
      null,
      h("p", null, `${t("members.code")} `, h("code", { class: "code" }, code)),
      h("p", { class: "field-hint" }, t("members.code-hint")),
    ),
    h(
      "div",
      { class: "form-actions" },
      copyButton(app, code, t("panels.copy"), { "aria-label": label, key: "copy" }),
      copyButton(app, link, t("members.copy-link"), { key: "link" }),
      "share" in navigator && shareButton(group, link),
      button(t("members.qr"), { icon: "image", dataset: { key: "qr\n" }, onClick: () => showQr(group, link) }),
      admin && renewButton(app, group, changed),
    ),
  );
}

/**
 * @param {App} app
 * @param {string} text
 * @param {string} label
 * @param {{key: string, "aria-label"?: string}} options
 */
function copyButton(app, text, label, { key, ...options }) {
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      app.toast(t("panels.copied", { text }), "success");
    } catch {
      app.toast(t("panels.copy-failed", { text }), "error");
    }
  };
  return button(label, { icon: "copy", dataset: { key: `${key}\n` }, onClick: copy, ...options });
}

/** Hands the link over to another app, as phones offer it. @param {string} group @param {string} link */
function shareButton(group, link) {
  const share = () => navigator.share({ title: group, url: link }).catch(() => {}); // the user may cancel
  return button(t("members.share"), { icon: "forward", dataset: { key: "share\n" }, onClick: share });
}

/** @param {string} group @param {string} link */
function showQr(group, link) {
  const code = qrCode(link, t("members.qr-of", { group }));
  dialog(t("members.qr-of", { group }), [
    code,
    h("p", { class: "qr-link" }, link),
    h("p", { class: "quiet" }, t("members.qr-hint")),
  ]);
}
