// @ts-check
/** One text to several people, as a direct message to each. */

import { fill, h } from "../dom.js";
import { LinkLost } from "../errors.js";
import { t } from "../i18n.js";
import { newKey } from "../sendkeys.js";
import { tError } from "../refusals.js";
import { field, form } from "../ui.js";
import { parseAddress, splitPeople } from "./names.js";
import { listed, sentence } from "./page.js";

/** @typedef {import("../types.js").App} App */
/** @typedef {import("../types.js").Reply} Reply */

/** @param {App} app */
export function several(app) {
  const people = field({
    label: t("newchat.people"),
    name: "people",
    hint: t("newchat.people-hint"),
    required: true,
    codes: ["unknown-user", "unknown-realm", "realm-not-found", "bad-name"],
    check: (text) => (splitPeople(text).every(parseAddress) ? null : t("newchat.bad")),
  });
  const text = field({
    label: t("newchat.text"),
    name: "text",
    required: true,
    codes: ["empty-text", "bad-text", "message-too-long"],
  });
  const report = h("div", { class: "report", role: "status" });
  // A send whose answer was lost is repeated under the same key, so that nobody gets it twice.
  let key = newKey();
  const changed = () => {
    key = newKey();
    fill(report);
  };
  people.input.addEventListener("input", changed);
  text.input.addEventListener("input", changed);

  const send = async () => {
    const to = splitPeople(people.value);
    try {
      const reply = await app.connection.request("send", { to, text: text.value, key });
      key = newKey();
      text.value = "";
      fill(report, ...outcome(reply, to));
      void app.store.refresh();
    } catch (error) {
      if (!(error instanceof LinkLost)) key = newKey();
      throw error;
    }
  };
  return h(
    "details",
    { class: "part several" },
    h("summary", null, t("newchat.several")),
    h("p", { class: "field-hint" }, t("newchat.several-hint")),
    form([people, text], send, { submit: t("newchat.send"), label: t("newchat.several") }),
    report,
  );
}

/**
 * Who got it, who will get it later, and who will not.
 * @param {Reply} reply
 * @param {string[]} to
 */
function outcome(reply, to) {
  /** @type {{to: string, state?: string}[]} */
  const sent = reply.sent ?? [{ to: to[0], state: reply.state }];
  const queued = sent.filter((each) => each.state === "queued").map((each) => each.to);
  /** @type {[string, {code: string, message: string}][]} */
  const refused = Object.entries(reply.refused ?? {});
  return [
    h("p", null, t("newchat.sent", { n: sent.length })),
    queued.length > 0 && h("p", null, ...sentence("newchat.queued", { names: listed(queued) })),
    reply.unknown?.length > 0 &&
      h("p", null, ...sentence("newchat.unknown", { names: listed(reply.unknown) })),
    ...refused.map(([name, error]) =>
      h("p", null, ...sentence("newchat.refused", { name: listed([name]), reason: tError(error) })),
    ),
  ];
}
