// @ts-check
/** The user's sessions, with what each was used last, and buttons that end them. */

import { h } from "../dom.js";
import { t, tError } from "../i18n.js";
import { button, listRow } from "../ui.js";
import { live } from "./live.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {{id: number, client: string, address: string, used: string, current: boolean}} Session */

/** @param {App} app */
export function sessionList(app) {
  const list = live(app, {
    load: async () => /** @type {Session[]} */ ((await app.connection.request("sessions")).sessions),
    show: (sessions) => {
      const rows = sessions.map(({ id, client, address, used, current }) => {
        const end = async () => {
          try {
            await app.connection.request("revoke", { session: id });
            app.toast(t("settings.session-ended"), "success");
          } catch (error) {
            app.toast(tError(error), "error");
          }
          await list.refresh();
        };
        const when = t("settings.session-used", { when: new Date(used).toLocaleString(), address });
        const label = t("settings.session-end", { client });
        const ending = button(t("settings.session-end-short"), { kind: "small", onClick: end, "aria-label": label });
        return listRow({
          title: client || t("settings.session-unknown"),
          subtitle: current ? t("settings.session-current") : when,
          actions: current ? [] : [ending],
        });
      });
      return [h("ul", { class: "rows" }, ...rows)];
    },
  });
  return list;
}
