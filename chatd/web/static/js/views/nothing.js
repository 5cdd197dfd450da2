// @ts-check
/** The hint in the list of conversations while it is empty. */

import { t } from "../i18n.js";
import { button, emptyState } from "../parts.js";

/** @param {import("./list.js").Filter} filter */
export function nothing(filter) {
  const write = button(t("list.write"), { kind: "primary", icon: "plus", href: "#/new" });
  const find = button(t("list.groups.open"), { kind: filter === "groups" ? "primary" : "", icon: "groups", href: "#/groups" });
  const see = button(t("list.realms.open"), { icon: "globe", href: "#/realms" });
  if (filter === "people") return emptyState(t("list.no-people"), t("list.no-people.hint"), write);
  if (filter === "groups") return emptyState(t("list.no-groups"), t("list.no-groups.hint"), find);
  if (filter === "realms") return emptyState(t("list.no-realms"), t("list.no-realms.hint"), [write, see]);
  if (filter === "archived") return emptyState(t("list.no-archived"), t("list.no-archived.hint"), null);
  return emptyState(t("list.empty"), t("list.empty.hint"), [write, find]);
}
