// @ts-check
/** Forms: fields with labels, hints and errors, and the realm's refusals beside them. */

import "./moreicons.js";
import { fill, h, uid } from "./dom.js";
import { t } from "./i18n.js";
import { icon } from "./icons.js";
import { button, iconButton } from "./parts.js";
import { tError } from "./refusals.js";

/** @import { Child } from "./dom.js" */

/**
 * @typedef {object} FieldOptions
 * @property {string} label
 * @property {string} name
 * @property {string} [type] of the input, or `select`; a password can be shown
 * @property {string} [value]
 * @property {string} [hint]
 * @property {string} [autocomplete]
 * @property {boolean} [required]
 * @property {boolean} [autofocus]
 * @property {number} [maxlength]
 * @property {number} [minlength]
 * @property {string} [placeholder]
 * @property {string} [inputmode]
 * @property {{value: string, label: string}[]} [options] of a select
 * @property {string[]} [codes] error codes of the realm that concern this field
 * @property {(value: string) => string | null} [check] what is wrong with a value, or null
 */

/**
 * @typedef {object} Field
 * @property {HTMLElement} node
 * @property {HTMLInputElement | HTMLSelectElement} input
 * @property {string} name
 * @property {string} value as it is now
 * @property {string[]} codes
 * @property {() => string | null} problem what is wrong with it, or null
 * @property {(text: string | null) => void} setError
 */

/**
 * A label, an input, a hint, and a place for an error.
 * @param {FieldOptions} options
 * @returns {Field}
 */
export function field(options) {
  const id = uid(options.name);
  const { type = "text" } = options;
  const described = options.hint ? `${id}-hint ${id}-error` : `${id}-error`;
  const common = { id, name: options.name, class: "input", "aria-describedby": described, autofocus: options.autofocus };
  const input = type === "select" ? select(options, common) : plain(options, common, type);
  const error = h("p", { id: `${id}-error`, class: "field-error" });
  const box = h("div", { class: "field-box" }, input);
  if (type === "password") box.append(reveal(/** @type {HTMLInputElement} */ (input)));
  const node = h(
    "div",
    { class: "field" },
    h("label", { for: id }, options.label),
    box,
    options.hint && h("p", { id: `${id}-hint`, class: "field-hint" }, options.hint),
    error,
  );
  const setError = (/** @type {string | null} */ text) => {
    node.classList.toggle("has-error", text !== null);
    if (text === null) input.removeAttribute("aria-invalid");
    else input.setAttribute("aria-invalid", "true");
    fill(error, text !== null && icon("alert"), text);
  };
  input.addEventListener("input", () => setError(null));
  return {
    node,
    input,
    name: options.name,
    get value() {
      return input.value;
    },
    set value(text) {
      input.value = text;
    },
    codes: options.codes ?? [],
    problem: () => problemOf(options, input.value),
    setError,
  };
}

/**
 * @param {FieldOptions} options
 * @param {string} value
 */
function problemOf(options, value) {
  if (options.required && value.trim() === "") return t("ui.required", { label: options.label });
  if (options.minlength && value !== "" && [...value].length < options.minlength) {
    return t("ui.too-short", { n: options.minlength });
  }
  return value === "" ? null : (options.check?.(value) ?? null);
}

/**
 * @param {FieldOptions} options
 * @param {import("./dom.js").Props} common
 * @param {string} type
 */
function plain(options, common, type) {
  return h("input", {
    ...common,
    type,
    value: options.value ?? "",
    autocomplete: options.autocomplete ?? "off",
    maxlength: options.maxlength,
    placeholder: options.placeholder,
    inputmode: options.inputmode,
    "aria-required": options.required ? true : null,
    autocapitalize: type === "text" && options.autocomplete !== "name" ? "none" : null,
    spellcheck: "false",
    dir: type === "password" ? "ltr" : "auto",
  });
}

/**
 * @param {FieldOptions} options
 * @param {import("./dom.js").Props} common
 */
function select(options, common) {
  const choices = (options.options ?? []).map(({ value, label }) =>
    h("option", { value, selected: value === options.value }, label),
  );
  return h("select", common, ...choices);
}

/** @param {HTMLInputElement} input */
function reveal(input) {
  const toggle = iconButton("eye", t("ui.show-password"), { "aria-pressed": false, class: "field-reveal" });
  toggle.addEventListener("click", () => {
    const shown = input.type === "password";
    input.type = shown ? "text" : "password";
    toggle.setAttribute("aria-pressed", String(shown));
    fill(toggle, icon(shown ? "eye-off" : "eye"));
    input.focus();
  });
  return toggle;
}

/**
 * A form of fields. `onSubmit` gets their values. While its promise is pending the form is busy. If it rejects, the
 * error is shown at the field that names the code, or else above the button.
 * @param {(Field | Node)[]} parts fields, and nodes between them
 * @param {(values: Record<string, string>) => unknown} onSubmit
 * @param {{submit?: string, kind?: string, extra?: Child[], class?: string, label?: string}} [options]
 * @returns {HTMLFormElement}
 */
export function form(parts, onSubmit, options = {}) {
  const { submit = t("ui.save"), kind = "primary", extra = [], class: more = "", label } = options;
  const fields = /** @type {Field[]} */ (parts.filter((part) => !(part instanceof Node)));
  const alert = h("div", { class: "form-error", role: "alert" });
  const send = button(submit, { kind, type: "submit" });
  const actions = h("div", { class: "form-actions" }, send, ...extra);
  let busy = false;
  const setBusy = (/** @type {boolean} */ on) => {
    busy = on;
    send.classList.toggle("is-busy", on);
    send.setAttribute("aria-disabled", String(on));
  };
  const node = h(
    "form",
    { class: `form ${more}`, novalidate: true, "aria-label": label, on: { submit: go } },
    ...parts.map((part) => (part instanceof Node ? part : part.node)),
    alert,
    actions,
  );
  return node;

  /** @param {SubmitEvent} event */
  async function go(event) {
    event.preventDefault();
    if (busy) return;
    fill(alert);
    if (!check(fields)) return;
    setBusy(true);
    try {
      await onSubmit(Object.fromEntries(fields.map((each) => [each.name, each.value])));
    } catch (error) {
      const code = /** @type {any} */ (error)?.code;
      const wrong = fields.find((each) => each.codes.includes(code));
      // Beside the field to change: at the end of a long form it would be out of sight.
      if (wrong) wrong.node.after(alert);
      else actions.before(alert);
      fill(alert, icon("alert"), h("p", { dir: "auto" }, tError(error)));
      if (wrong) {
        wrong.input.setAttribute("aria-invalid", "true");
        wrong.input.focus();
        if (wrong.input instanceof HTMLInputElement) wrong.input.select();
      }
      if (code === undefined && !(error instanceof Error && error.name === "LinkLost")) throw error;
    } finally {
      setBusy(false);
    }
  }
}

/**
 * Whether all fields are valid. Otherwise the first invalid one gets the focus.
 * @param {Field[]} fields
 */
function check(fields) {
  const problems = fields.map((each) => each.problem());
  for (const [at, each] of fields.entries()) each.setError(problems[at]);
  const first = fields[problems.findIndex((problem) => problem !== null)];
  first?.input.focus();
  return first === undefined;
}
