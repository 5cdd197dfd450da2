// @ts-check
/** Light or dark: what the system says, unless one has chosen here. early.js does it for the first paint. */

/** @typedef {"auto" | "light" | "dark"} Theme */

const STORED = "chatd.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

/** What was chosen. @returns {Theme} */
export function theme() {
  try {
    const found = localStorage.getItem(STORED);
    return found === "light" || found === "dark" ? found : "auto";
  } catch {
    return "auto";
  }
}

/** @param {Theme} wanted */
export function setTheme(wanted) {
  try {
    if (wanted === "auto") localStorage.removeItem(STORED);
    else localStorage.setItem(STORED, wanted);
  } catch {
    // It holds until the page is closed.
  }
  show(wanted);
}

/** Follows the system, and other tabs. */
export function watchTheme() {
  show(theme());
  system.addEventListener("change", () => show(theme()));
  window.addEventListener("storage", (event) => {
    if (event.key === STORED) show(theme());
  });
}

/** @param {Theme} wanted */
function show(wanted) {
  const shown = wanted === "auto" ? (system.matches ? "dark" : "light") : wanted;
  document.documentElement.dataset.theme = shown;
  const ground = getComputedStyle(document.documentElement).getPropertyValue("--surface").trim();
  document.querySelector('meta[name="theme-color"]')?.setAttribute("content", ground);
}
