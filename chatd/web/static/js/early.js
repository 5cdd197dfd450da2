// @ts-check
// Not a module, so that it runs before the first paint: no flash of the wrong theme.
(function () {
  let wanted = null;
  try {
    wanted = localStorage.getItem("chatd.theme");
  } catch {
    // Storage is forbidden: use the system's theme.
  }
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = wanted === "light" || wanted === "dark" ? wanted : dark ? "dark" : "light";
  // The browser offers once to install the page, maybe before install.js is loaded.
  addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault(); // no banner: settings has a button
    Object.assign(window, { installOffer: event });
  });
})();
