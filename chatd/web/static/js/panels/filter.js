// @ts-check
/** A long list: a field to filter it, and its rows page by page. */

import { fill, h, uid } from "../dom.js";
import { t } from "../i18n.js";
import { announce, button } from "../ui.js";
import { rows } from "./page.js";

const WORTH_IT = 8; // rows from which the filter is shown
const PAGE = 100; // rows

/**
 * @template T
 * @param {{
 *   label: string,
 *   title: string,
 *   fits: (item: T, typed: string) => boolean,
 *   row: (item: T) => Element,
 *   empty: () => Element,
 * }} how `label` is the field's, `title` the list's; `empty` is shown without any items
 * @returns {(items: readonly T[]) => HTMLElement} makes the list of these items
 */
export function filtered({ label, title, fits, row, empty }) {
  let typed = "";
  let most = PAGE;
  /** @type {readonly T[]} */
  let items = [];
  const id = uid("filter");
  const input = h("input", {
    id,
    class: "input",
    type: "search",
    autocomplete: "off",
    spellcheck: "false",
    dir: "auto",
    dataset: { key: "filter\n" },
  });
  const field = h("div", { class: "field filter" }, h("label", { for: id }, label), input);
  const place = h("div");
  const node = h("div", { class: "filtered" }, field, place);

  const draw = () => {
    field.hidden = items.length < WORTH_IT && !typed;
    if (!items.length && !typed) return void fill(place, empty());
    const fitting = typed ? items.filter((item) => fits(item, typed)) : items;
    if (!fitting.length)
      return void fill(place, h("p", { class: "aside" }, t("panels.none-match", { text: typed })));
    const rest =
      fitting.length > most && button(t("panels.show-more"), { class: "show-more", onClick: showMore });
    fill(place, rows(title, fitting.slice(0, most).map(row)), rest);
  };
  const showMore = () => {
    const before = most;
    most += PAGE;
    draw();
    const first = place.querySelectorAll(".row")[before]?.querySelector("a, button");
    if (first instanceof HTMLElement) first.focus();
  };
  input.addEventListener("input", () => {
    typed = input.value.trim();
    most = PAGE;
    draw();
    if (typed) announce(t("panels.results", { n: items.filter((item) => fits(item, typed)).length }));
  });
  return (found) => {
    items = found;
    draw();
    return node;
  };
}
