// @ts-check
/** Settings of this browser: notifications, and installing the page as an app. */

import { fill, h, uid } from "../dom.js";
import { t } from "../i18n.js";
import { canInstall, install, isInstalled, onInstallable } from "../install.js";
import { notificationState, setNotifications } from "../notify.js";
import { button } from "../ui.js";

/** @typedef {import("../types.js").App} App */

/** A switch for notifications. Only a click on it makes the browser ask for permission. */
export function notifying() {
  const id = uid("notify");
  const input = h("input", {
    id,
    type: "checkbox",
    role: "switch",
    class: "switch",
    "aria-describedby": `${id}-state`,
  });
  const state = h("p", { id: `${id}-state`, class: "quiet", role: "status" });
  const show = () => {
    const now = notificationState();
    input.checked = now === "on";
    input.disabled = now === "unsupported";
    fill(state, saidOf(now));
  };
  input.addEventListener("change", async () => {
    await setNotifications(input.checked);
    show();
  });
  show();
  return h(
    "div",
    { class: "form" },
    h("label", { class: "switch-line", for: id }, input, h("span", null, t("settings.notify"))),
    state,
  );
}

/** @param {import("../notify.js").NotificationState} now */
function saidOf(now) {
  if (now === "unsupported" || !isSecureContext)
    return t(isSecureContext ? "settings.notify-unsupported" : "settings.notify-insecure");
  return t(`settings.notify-${now}`);
}

/**
 * The button to install the page, if the browser offers it.
 * @param {App} app
 */
export function installing(app) {
  const node = h("div", { class: "form" });
  const go = async () => {
    if (await install()) app.toast(t("settings.installed"), "success");
  };
  const show = () => {
    if (isInstalled()) return void fill(node, h("p", { class: "quiet" }, t("settings.is-installed")));
    fill(
      node,
      h("p", { class: "quiet" }, t("settings.install-hint")),
      canInstall()
        ? h(
            "div",
            { class: "form-actions" },
            button(t("settings.install-button"), { icon: "monitor", onClick: go }),
          )
        : h("p", { class: "quiet" }, t("settings.install-later")),
    );
  };
  show();
  return { node, destroy: onInstallable(show) };
}
