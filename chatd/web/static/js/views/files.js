// @ts-check
/** The files that the user may fetch, newest first. */

import { fileUrl, sizeText } from "../chat/files.js";
import { h } from "../dom.js";
import { language, t } from "../i18n.js";
import { filtered } from "../panels/filter.js";
import { attempt, live } from "../panels/live.js";
import { matches } from "../panels/names.js";
import { bdi, noted, page, row, sentence } from "../panels/page.js";
import { full, relative } from "../time.js";
import { confirm, covering, emptyState, icon, iconButton } from "../ui.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {{code: string, name: string, size: number, from: string, at: string, thumbnail?: string}} FileInfo */

/** @param {App} app @returns {import("../types.js").View} */
export function view(app) {
  /** @type {(files: readonly FileInfo[]) => HTMLElement} */
  const list = filtered({
    label: t("files.filter"),
    title: t("files.title"),
    fits: (file, typed) => matches(typed, file.name, file.from, app.store.displayName(file.from), file.code),
    row: (file) => fileRow(app, file, () => void shown.refresh()),
    empty: () => emptyState(t("files.none"), t("files.none-hint"), null, "file"),
  });
  const shown = live(app, {
    load: async () => {
      const [reply] = await Promise.all([app.connection.request("files"), app.store.users()]);
      const files = /** @type {FileInfo[]} */ (reply.files);
      return [...files].sort((one, other) => other.at.localeCompare(one.at));
    },
    show: (files) => [list(files)],
    events: ["file", "deleted"],
  });
  const off = app.store.on("incoming", (message) => message.file && void shown.refresh());
  return {
    title: t("files.title"),
    node: page({ title: t("files.title"), intro: t("files.intro") }, shown.node),
    destroy() {
      off();
      shown.destroy();
    },
  };
}

/**
 * @param {App} app
 * @param {FileInfo} file
 * @param {() => void} refresh
 */
function fileRow(app, file, refresh) {
  const size = sizeText(file.size, language());
  const mine = app.store.isMe(file.from);
  const who = mine
    ? [t("files.yours")]
    : sentence("files.from", { name: bdi(app.store.displayName(file.from)) });
  const when = h("time", { datetime: file.at, title: full(file.at) }, relative(file.at));
  return row({
    key: file.code,
    title: file.name,
    picture: h("span", { class: "row-icon" }, icon("file"), file.thumbnail && covering(file.thumbnail)),
    subtitle: noted(h("span", { class: "bit" }, ...who), size, t("files.code", { code: file.code })),
    meta: when,
    actions: [
      iconButton("download", t("files.download", { name: file.name, size }), {
        href: fileUrl(file.code),
        download: file.name,
      }),
      mine &&
        iconButton("trash", t("files.delete", { name: file.name }), { onClick: () => remove(app, file, refresh) }),
    ],
  });
}

/** Asks first. @param {App} app @param {FileInfo} file @param {() => void} refresh */
async function remove(app, file, refresh) {
  const sure = await confirm({
    title: t("files.delete", { name: file.name }),
    text: t("files.delete-text"),
    action: t("files.delete-action"),
    danger: true,
  });
  if (!sure) return;
  const request = () => app.connection.request("deletefile", { code: file.code });
  if (await attempt(app, request, () => t("files.deleted", { name: file.name }))) refresh();
}
