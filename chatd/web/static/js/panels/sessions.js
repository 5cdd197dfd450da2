// @ts-check
/** The user's sessions, with what each was used last, and buttons that end them. */

import { t } from "../i18n.js";
import { full } from "../time.js";
import { button } from "../ui.js";
import { attempt, live } from "./live.js";
import { row, rows } from "./page.js";
import { programName } from "./programs.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {{id: number, client: string, address: string, used: string, current: boolean}} Session */

/** @param {App} app */
export function sessionList(app) {
  const list = live(app, {
    load: async () => /** @type {Session[]} */ ((await app.connection.request("sessions")).sessions),
    show: (sessions) => [rows(t("settings.sessions"), sessions.map(sessionRow))],
  });
  /** @param {Session} session */
  const sessionRow = ({ id, client, address, used, current }) => {
    const title = programName(client);
    const end = async () => {
      const request = () => app.connection.request("revoke", { session: id });
      await attempt(app, request, () => t("settings.session-ended"));
      await list.refresh();
    };
    const label = t("settings.session-end", { client: title });
    const ending = button(t("settings.session-end-short"), { kind: "small", onClick: end, "aria-label": label });
    return row({
      key: String(id),
      title,
      subtitle: current ? t("settings.session-current") : t("settings.session-used", { when: full(used), address }),
      actions: current ? [] : [ending],
    });
  };
  return list;
}
