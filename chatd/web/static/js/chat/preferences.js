// @ts-check
/** What the user chooses for a conversation: of which messages they are notified, and whether it is archived. */

import { t } from "../i18n.js";
import { attempt } from "../panels/live.js";
import { dialog, field, form } from "../ui.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {import("../types.js").Conversation} Conversation */
/** @typedef {import("./menu.js").MenuItem} MenuItem */

const LEVELS = ["all", "mentions", "none"];
/** For how many hours a choice holds; 0: until another one. */
const HOURS = [0, 1, 8, 24, 168];
const HOUR = 3600_000; // ms

/**
 * The items of the conversation's menu.
 * @param {App} app
 * @param {Conversation | undefined} found
 * @returns {MenuItem[]}
 */
export function preferenceItems(app, found) {
  if (!found?.conversation) return [];
  const { conversation, archived = false } = found;
  const archive = async () => {
    const request = () => app.connection.request("archive", { conversation, on: !archived });
    const said = t(archived ? "chat.unarchived" : "chat.archived", { name: found.name });
    if (await attempt(app, request, () => said)) void app.store.refresh();
  };
  return [
    { label: t("chat.notify"), icon: "bell", onClick: () => choose(app, found) },
    { label: t(archived ? "chat.unarchive" : "chat.archive"), icon: "archive", onClick: archive },
  ];
}

/** @param {App} app @param {Conversation} found */
function choose(app, { conversation, name, place, notify = "all", until }) {
  // In a conversation of two, nobody has to be mentioned.
  const levels = LEVELS.filter((each) => each !== "mentions" || place.kind === "g" || notify === each);
  const level = field({
    label: t("chat.notify.level"),
    name: "level",
    type: "select",
    value: notify,
    options: levels.map((value) => ({ value, label: t(`chat.notify.${value}`) })),
  });
  const hours = field({
    label: t("chat.notify.until"),
    name: "hours",
    type: "select",
    value: "0",
    hint: until && t("chat.notify.now", { when: new Date(until).toLocaleString() }),
    options: HOURS.map((n) => ({ value: String(n), label: n ? t("chat.notify.hours", { n }) : t("chat.notify.always") })),
  });
  const limit = () => (hours.node.hidden = level.value === "all");
  limit();
  level.input.addEventListener("change", limit);
  const save = async () => {
    const end = level.value === "all" ? 0 : Number(hours.value) * HOUR;
    const rest = end ? { until: new Date(Date.now() + end).toISOString() } : {};
    await app.connection.request("notify", { conversation, level: level.value, ...rest });
    close();
    app.toast(t("chat.notify.saved"), "success");
    void app.store.refresh();
  };
  const close = dialog(t("chat.notify.of", { name }), form([level, hours], save), { narrow: true });
}
