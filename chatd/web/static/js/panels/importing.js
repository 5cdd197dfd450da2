// @ts-check
/** Importing the archive of an account elsewhere: choosing it, how far it has come, and the groups to join again. */

import { fill, h } from "../dom.js";
import { ChatError, LinkLost, checked } from "../errors.js";
import { ask } from "../http.js";
import { t } from "../i18n.js";
import { tError } from "../refusals.js";
import { hashOf } from "../router.js";
import { button } from "../ui.js";
import { keepFocus } from "./live.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {import("../types.js").FormerGroup} FormerGroup */
/** @typedef {import("../types.js").ImportState} ImportState */

const AGAIN = 3000; // ms after which a running import is looked at again, in case an event was lost

/**
 * The button, and below it the state of the last import.
 * @param {App} app
 * @returns {{node: HTMLElement, destroy: () => void}}
 */
export function importing(app) {
  /** @type {ImportState | null} */
  let found = null;
  /** @type {number | null} the bytes that were sent, of 1 */
  let sent = null;
  /** @type {Set<string>} */
  const joined = new Set();
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let shown = "";

  /** @type {HTMLInputElement} */
  const file = h("input", {
    type: "file",
    accept: ".zip,application/zip",
    hidden: true, // the button opens it
    on: { change: () => file.files?.[0] && void begin(file.files[0]) },
  });
  const state = h("div", { class: "import-state", role: "status" });
  const groups = h("div", { class: "import-state" });
  const choose = h("div", null);
  const hint = h("p", { class: "quiet" }, t("settings.import-hint"));
  const node = h("div", { class: "action" }, choose, file, hint, state, groups);

  const draw = () => {
    const looks = JSON.stringify([found, sent, [...joined]]);
    if (looks === shown) return;
    shown = looks;
    const running = found?.state === "running" || sent !== null;
    keepFocus(node, () => {
      fill(
        choose,
        running
          ? found?.state === "running" &&
              button(t("settings.import-cancel"), { icon: "close", dataset: { key: "import" }, onClick: cancel })
          : button(t("settings.import"), { icon: "upload", dataset: { key: "import" }, onClick: () => file.click() }),
      );
      fill(state, ...stateOf(found, sent));
      fill(groups, ...(found?.state === "done" ? groupsOf(found) : []));
    });
  };

  /** @param {ImportState} done */
  const groupsOf = ({ groups: listed = [] }) => {
    const known = app.store.conversations;
    const left = listed.filter(({ group }) => !known.has(app.store.place("g", group).key) || joined.has(group));
    if (left.length === 0) return [];
    return [
      h("p", null, t("settings.import-groups")),
      h("ul", { class: "import-groups" }, ...left.map((each) => h("li", null, groupRow(each)))),
    ];
  };

  /** @param {FormerGroup} former */
  const groupRow = (former) => {
    const { group, title } = former;
    const name = h("bdi", null, title || group);
    const address = title ? h("bdi", { class: "quiet" }, group) : null;
    const act = joined.has(group)
      ? h("a", { class: "button button-small", href: hashOf(app.store.place("g", group)) }, t("settings.import-open"))
      : button(t("settings.import-join"), {
          kind: "small",
          "aria-label": t("settings.import-join-group", { group: title || group }),
          dataset: { key: `join\n${group}` },
          onClick: () => join(former),
        });
    return h("div", { class: "import-group" }, h("span", { class: "import-name" }, name, " ", address), act);
  };

  /** @param {FormerGroup} former */
  const join = async ({ group, code, visibility }) => {
    const [, realm = ""] = group.split("@");
    // The code of a private group is the only way in.
    const name = visibility === "private" && code ? `${code}${realm && `@${realm}`}` : group;
    try {
      await app.connection.request("joingroup", { group: name });
      joined.add(group);
    } catch (error) {
      if (error instanceof ChatError && error.code === "already-member") joined.add(group);
      else app.toast(tError(error), "error");
    }
    draw();
  };

  const load = async () => {
    clearTimeout(timer);
    try {
      found = /** @type {ImportState} */ (/** @type {unknown} */ (await app.connection.request("imported")));
    } catch (error) {
      if (!(error instanceof ChatError && error.code === "no-import")) return;
      found = null;
    }
    draw();
    if (found?.state === "running") timer = setTimeout(load, AGAIN);
  };

  /** @param {File} chosen */
  const begin = async (chosen) => {
    sent = 0;
    draw();
    try {
      found = await put(chosen, (share) => {
        sent = share;
        draw();
      });
    } catch (error) {
      app.toast(tError(error), "error");
    }
    sent = null;
    file.value = "";
    draw();
    await load();
  };

  const cancel = async () => {
    try {
      found = await ask("DELETE", "/import");
    } catch (error) {
      if (!(error instanceof ChatError && error.code === "no-import")) app.toast(tError(error), "error");
    }
    await load();
  };

  const off = app.connection.on("import", (/** @type {ImportState} */ event) => {
    if (event.state === "running") {
      found = { ...found, ...event };
      draw();
    } else {
      void load();
      void app.store.refresh();
    }
  });
  draw();
  void load();
  return {
    node,
    destroy: () => {
      clearTimeout(timer);
      off();
    },
  };
}

/**
 * The state of an import, in a sentence.
 * @param {ImportState | null} found
 * @param {number | null} sent
 */
function stateOf(found, sent) {
  if (sent !== null) return [bar(sent), h("p", null, t("settings.import-sending", { n: Math.floor(sent * 100) }))];
  if (found === null) return [];
  const n = found.messages;
  if (found.state === "running") {
    const share = found.of ? found.conversations / found.of : 0;
    return [bar(share), h("p", null, t("settings.import-running", { n }))];
  }
  const error = found.code ? new ChatError(found.code, found.reason ?? "") : null;
  return [
    h("p", { class: error ? "import-failed" : "" }, t(`settings.import-${found.state}`, { n })),
    error && h("p", null, found.reason ?? tError(error)),
  ];
}

/** @param {number} share */
function bar(share) {
  return h("progress", { max: "1", value: String(share), "aria-label": t("settings.import-progress") });
}

/**
 * Sends an archive. XMLHttpRequest tells how far it has come. Throws ChatError, LinkLost.
 * @param {File} body
 * @param {(share: number) => void} tell
 * @returns {Promise<ImportState>}
 */
function put(body, tell) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", "/import");
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => tell(total ? loaded / total : 0);
    request.onload = () => {
      try {
        resolve(checked(request.response));
      } catch (error) {
        reject(error);
      }
    };
    request.onerror = () => reject(new LinkLost());
    request.send(body);
  });
}
