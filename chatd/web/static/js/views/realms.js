// @ts-check
/** The other realms, the state of their links, and a form to add one. */

import { fill, h } from "../dom.js";
import { language, t } from "../i18n.js";
import { attempt, live } from "../panels/live.js";
import { bdi, page, section, sentence, tag } from "../panels/page.js";
import { full, relative } from "../time.js";
import { avatar, button, confirm, emptyState, field, form } from "../ui.js";

/** @typedef {import("../types.js").App} App */
/**
 * @typedef {{
 *   realm: string, state: "up" | "down" | "connecting" | "resting", since: string, direction: "in" | "out" | null,
 *   address: string | null, queued: number, oldest: string | null, error: string | null, next_try: string | null,
 * }} Realm
 */

const INTERVAL = 5000; // ms
const KINDS = /** @type {const} */ ({ up: "good", connecting: "busy", resting: "good", down: "bad" });

/** @param {App} app @returns {import("../types.js").View} */
export function view(app) {
  const may = app.store.session?.may_add_realms ?? false;
  const shown = live(app, {
    load: async () => /** @type {Realm[]} */ ((await app.connection.request("realms")).realms),
    show: (realms) =>
      realms.length
        ? [h("ul", { class: "cards" }, ...realms.map((realm) => card(realm, may && forget(realm))))]
        : [emptyState(t("realms.none"), t(may ? "realms.none-hint-may" : "realms.none-hint"), null, "globe")],
    every: INTERVAL,
  });

  /** @param {Realm} realm */
  function forget({ realm, queued }) {
    return async () => {
      const waits = queued > 0 && [h("br"), t("realms.delete-queued", { n: queued })];
      const sure = await confirm({
        title: t("realms.delete-ask", { realm }),
        text: [t("realms.delete-text"), waits].flat(),
        action: t("realms.delete-button"),
        danger: true,
      });
      if (!sure) return;
      const request = () => app.connection.request("delrealm", { realm });
      await attempt(app, request, () => t("realms.deleted", { realm }));
      await shown.refresh();
    };
  }

  return {
    title: t("realms.title"),
    node: page(
      { title: t("realms.title"), intro: sentence("realms.intro", { realm: bdi(app.store.realm) }) },
      section(t("realms.list"), shown.node),
      may ? addForm(app, shown) : h("p", { class: "quiet" }, t("realms.may-not")),
    ),
    destroy: () => shown.destroy(),
  };
}

/**
 * @param {Realm} realm
 * @param {(() => unknown) | false} forget
 */
function card(realm, forget) {
  const { state } = realm;
  const head = h(
    "div",
    { class: "card-head" },
    avatar(realm.realm, undefined, { kind: "group" }),
    h(
      "div",
      { class: "card-titles" },
      h("h3", null, bdi(realm.realm)),
      h(
        "p",
        { class: "state" },
        tag(t(`realms.${state}`), KINDS[state]),
        " ",
        t("realms.since"),
        " ",
        time(realm.since),
      ),
    ),
    forget &&
      button(t("realms.delete-button"), {
        kind: "small",
        icon: "trash",
        "aria-label": t("realms.delete", { realm: realm.realm }),
        dataset: { key: `${realm.realm}\nforget` },
        onClick: forget,
      }),
  );
  const hint = state === "down" && h("p", { class: "field-hint" }, t("realms.down-hint"));
  return h("li", { class: "card" }, head, facts(realm), hint);
}

/** @param {Realm} realm */
function facts(realm) {
  const { direction, queued, oldest, error, next_try: next } = realm;
  const dialled = direction && t(direction === "in" ? "realms.dialled-in" : "realms.dialled-out");
  const where = [realm.address ?? t("realms.by-itself"), dialled && ` (${dialled})`];
  const waits = queued ? t("realms.queued-n", { n: queued }) : t("realms.queued-none");
  const since = queued > 0 && oldest && [", ", ...sentence("realms.oldest", { when: time(oldest) })];
  return h(
    "dl",
    { class: "facts" },
    fact(t("realms.address"), where),
    fact(t("realms.queued"), [waits, since].flat()),
    // The realm's sentence is in English only.
    error && fact(t("realms.error"), [h("span", { lang: "en" }, error)], "bad"),
    next && fact(t("realms.next"), [h("time", { datetime: next, title: full(next) }, ahead(next))]),
  );
}

/**
 * @param {string} what
 * @param {import("../dom.js").Child[]} is
 * @param {string} [kind]
 */
function fact(what, is, kind) {
  return h(
    "div",
    { class: kind ? `fact fact-${kind}` : "fact" },
    h("dt", null, what),
    h("dd", { dir: "auto" }, is),
  );
}

/** The time until then, as text. @param {string} at */
function ahead(at) {
  const seconds = Math.max(0, Math.round((Date.parse(at) - Date.now()) / 1000));
  const format = new Intl.RelativeTimeFormat(language());
  return seconds < 90 ? format.format(seconds, "second") : format.format(Math.round(seconds / 60), "minute");
}

/** @param {string} at */
function time(at) {
  return h("time", { datetime: at, title: full(at) }, relative(at));
}

/**
 * @param {App} app
 * @param {import("../panels/live.js").Live<any>} shown
 */
function addForm(app, shown) {
  const realm = field({
    label: t("realms.name"),
    name: "realm",
    hint: t("realms.name-hint"),
    required: true,
    codes: ["realm-exists", "own-realm", "wrong-realm", "bad-name"],
  });
  const host = field({
    label: t("realms.host"),
    name: "host",
    hint: t("realms.host-hint"),
    required: true,
    codes: ["forbidden-address", "realm-unreachable", "bad-argument"],
  });
  const port = field({
    label: t("realms.port"),
    name: "port",
    value: "8890",
    hint: t("realms.port-hint"),
    inputmode: "numeric",
    required: true,
    check: (text) =>
      /^\d{1,5}$/.test(text.trim()) && +text > 0 && +text < 65536 ? null : t("realms.bad-port"),
  });
  const report = h("div", { class: "report", role: "status" });
  const add = async () => {
    fill(report);
    const reply = await app.connection.request("addrealm", {
      realm: realm.value.trim(),
      host: host.value.trim(),
      port: Number(port.value),
    });
    const [before, after] = t("realms.fingerprint").split("{fingerprint}");
    fill(
      report,
      h("p", null, h("strong", null, t("realms.added", { realm: reply.realm }))),
      reply.fingerprint &&
        h("p", null, before, h("code", { class: "fingerprint" }, reply.fingerprint), after),
    );
    realm.value = "";
    host.value = "";
    await shown.refresh();
  };
  return section(
    t("realms.add"),
    h("p", { class: "quiet" }, t("realms.add-hint")),
    form([realm, host, port], add, {
      submit: t("realms.add-button"),
      class: "form-realm",
      label: t("realms.add"),
    }),
    report,
  );
}
