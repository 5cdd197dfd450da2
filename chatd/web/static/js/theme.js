// @ts-check
/** The theme, light or dark: the system's unless the user has chosen one. early.js sets it for the first paint. */

/** @typedef {"auto" | "light" | "dark"} Theme */

const STORED = "chatd.theme";
const system = matchMedia("(prefers-color-scheme: dark)");

/** The user's choice. @returns {Theme} */
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
    // It lasts until the page is closed.
  }
  show(wanted);
}

/** Follows changes by the system and by other tabs. */
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
