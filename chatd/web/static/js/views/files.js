// @ts-check
/** The files that the user may fetch, newest first. */

import { fileUrl, sizeText } from "../chat/files.js";
import { h } from "../dom.js";
import { language, t } from "../i18n.js";
import { filtered } from "../panels/filter.js";
import { live } from "../panels/live.js";
import { matches } from "../panels/names.js";
import { bdi, noted, page, row, sentence } from "../panels/page.js";
import { full, relative } from "../time.js";
import { emptyState, icon, iconButton } from "../ui.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {{code: string, name: string, size: number, from: string, at: string}} FileInfo */

/** @param {App} app @returns {import("../types.js").View} */
export function view(app) {
  /** @type {(files: readonly FileInfo[]) => HTMLElement} */
  const list = filtered({
    label: t("files.filter"),
    title: t("files.title"),
    fits: (file, typed) => matches(typed, file.name, file.from, app.store.displayName(file.from), file.code),
    row: (file) => fileRow(app, file),
    empty: () => emptyState(t("files.none"), t("files.none-hint"), null, "file"),
  });
  const shown = live(app, {
    load: async () => {
      const [reply] = await Promise.all([app.connection.request("files"), app.store.users()]);
      const files = /** @type {FileInfo[]} */ (reply.files);
      return [...files].sort((one, other) => other.at.localeCompare(one.at));
    },
    show: (files) => [list(files)],
    events: ["file"],
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
 */
function fileRow(app, file) {
  const size = sizeText(file.size, language());
  const mine = app.store.isMe(file.from);
  const who = mine
    ? [t("files.yours")]
    : sentence("files.from", { name: bdi(app.store.displayName(file.from)) });
  const when = h("time", { datetime: file.at, title: full(file.at) }, relative(file.at));
  return row({
    key: file.code,
    title: file.name,
    picture: h("span", { class: "row-icon" }, icon("file")),
    subtitle: noted(h("span", { class: "bit" }, ...who), size, t("files.code", { code: file.code })),
    meta: when,
    actions: [
      iconButton("download", t("files.download", { name: file.name, size }), {
        href: fileUrl(file.code),
        download: file.name,
      }),
    ],
  });
}
