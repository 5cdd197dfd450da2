// @ts-check
/** Icons of 24 by 24, each a stroked path. They are hidden from screen readers, which read labels. */

const SVG = "http://www.w3.org/2000/svg";

/** Those of the first page; moreicons.js adds the rest. */
const FIRST = {
  alert: "M12 4 3 19.5h18L12 4Zm0 6v4.2m0 2.6v.1",
  attach: "M19.5 11.5 11.8 19a4.6 4.6 0 0 1-6.5-6.5l8-7.9a3 3 0 0 1 4.3 4.3l-8 7.9a1.5 1.5 0 0 1-2.1-2.1l7.2-7.2",
  back: "M19 12H5m6.5-7L5 12l6.5 7",
  chats: "M4 5.5h16v11H11l-4.5 4v-4H4v-11Zm4 4h8m-8 3.2h5",
  clock: "M12 3.5a8.5 8.5 0 1 1 0 17 8.5 8.5 0 0 1 0-17Zm0 4V12l3.2 2",
  file: "M6 3.500h8l4.5 4.500v12.500H6v-17Zm8 0V8h4.5",
  globe: "M12 3.500a8.5 8.5 0 1 1 0 17 8.5 8.5 0 0 1 0-17Zm0 0c-5 5-5 12 0 17 5-5 5-12 0-17ZM3.8 9.500h16.400M3.8 14.500h16.4",
  groups: "M9 4.500a3.2 3.2 0 1 1 0 6.5 3.2 3.2 0 0 1 0-6.500ZM2.5 19.500c0-4 2.7-6 6.5-6s6.5 2 6.5 6M15.5 5a3 3 0 0 1 0 5.800m1.5 3c2.8.4 4.5 2.4 4.5 5.7",
  muted: "M6 16.5V11a6 6 0 0 1 10-4.500M18 11v5.500l1.500 1.500H8M10 20.500h4M4 4l16 16",
  plus: "M12 5v14M5 12h14",
  room: "M9.5 4 7.5 20M16.5 4l-2 16M4.5 9h16M3.5 15h16",
  search: "M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13Zm5 11.500L20.5 20.5",
  settings: "M4 7h9m5 0h2M4 17h2m5 0h9M15.5 4.700a2.3 2.3 0 1 1 0 4.6 2.3 2.3 0 0 1 0-4.600Zm-7 10a2.3 2.3 0 1 1 0 4.6 2.3 2.3 0 0 1 0-4.600Z",
  user: "M12 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8ZM4.5 20c0-4 3-6 7.5-6s7.5 2 7.5 6",
};

/** @typedef {keyof typeof FIRST | keyof typeof import("./moreicons.js").MORE} IconName */

/** @type {Record<string, string>} */
const paths = { ...FIRST };

/** @param {Record<string, string>} more */
export function addIcons(more) {
  Object.assign(paths, more);
}

/**
 * @param {IconName} name
 * @returns {SVGSVGElement}
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("focusable", "false");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", paths[name] ?? "");
  svg.append(path);
  return svg;
}
