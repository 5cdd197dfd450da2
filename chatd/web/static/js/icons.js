// @ts-check
/** Pictures of 24 by 24, drawn with a pen: each a path. They say nothing to a screen reader; labels do. */

const SVG = "http://www.w3.org/2000/svg";

const PATHS = {
  alert: "M12 4 3 19.5h18L12 4Zm0 6v4.2m0 2.6v.1",
  attach: "M19.5 11.5 11.8 19a4.6 4.6 0 0 1-6.5-6.5l8-7.9a3 3 0 0 1 4.3 4.3l-8 7.9a1.5 1.5 0 0 1-2.1-2.1l7.2-7.2",
  back: "M19 12H5m6.5-7L5 12l6.5 7",
  bell: "M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 1.5h-15L6 16.5Zm4 4a2.2 2.2 0 0 0 4 0",
  chats: "M4 5.5h16v11H11l-4.5 4v-4H4v-11Zm4 4h8m-8 3.2h5",
  check: "m5 12.5 4.5 4.5L19 7.5",
  chevron: "m9 5 7 7-7 7",
  clock: "M12 3.5a8.5 8.5 0 1 1 0 17 8.5 8.5 0 0 1 0-17Zm0 4V12l3.2 2",
  close: "m6 6 12 12M18 6 6 18",
  copy: "M9 9h10.5v10.5H9V9ZM5.5 15H4.5V4.5H15v1",
  crown: "m4 18-1-10 5 4 4-7 4 7 5-4-1 10H4Z",
  down: "M12 5v14m-6.5-6.5L12 19l6.5-6.5",
  download: "M12 4v11m-5-5 5 5 5-5M5 19.5h14",
  edit: "M4.5 19.5 5 15.5 16 4.5l3.5 3.5-11 11-4 .5Z",
  eye: "M2.5 12S6 5.5 12 5.5 21.5 12 21.5 12 18 18.5 12 18.5 2.5 12 2.5 12Zm9.5-3a3 3 0 1 1 0 6 3 3 0 0 1 0-6Z",
  "eye-off": "m4 4 16 16M9.5 5.900A9 9 0 0 1 12 5.500c6 0 9.5 6.5 9.5 6.500a16 16 0 0 1-2.6 3.400M6 7.700A16 16 0 0 0 2.5 12S6 18.5 12 18.500c1.5 0 2.8-.4 4-1",
  file: "M6 3.500h8l4.5 4.500v12.500H6v-17Zm8 0V8h4.5",
  globe: "M12 3.500a8.5 8.5 0 1 1 0 17 8.5 8.5 0 0 1 0-17Zm0 0c-5 5-5 12 0 17 5-5 5-12 0-17ZM3.8 9.500h16.400M3.8 14.500h16.4",
  groups: "M9 4.500a3.2 3.2 0 1 1 0 6.5 3.2 3.2 0 0 1 0-6.500ZM2.5 19.500c0-4 2.7-6 6.5-6s6.5 2 6.5 6M15.5 5a3 3 0 0 1 0 5.800m1.5 3c2.8.4 4.5 2.4 4.5 5.7",
  image: "M4 5h16v14H4V5Zm0 11 5-5 4.5 4.500L16 13l4 4M15.5 8.500v.1",
  info: "M12 3.500a8.5 8.5 0 1 1 0 17 8.5 8.5 0 0 1 0-17Zm0 7.500v5m0-8v.1",
  leave: "M14 4.500H5v15h9M10 12h10.500M17 8l4 4-4 4",
  lock: "M6 11h12v9H6v-9Zm2.5 0V8a3.5 3.5 0 0 1 7 0v3",
  mail: "M3.5 5.500h17v13h-17v-13Zm0 1 8.5 6.5 8.5-6.5",
  monitor: "M3.5 4.500h17v11.500h-17V4.500ZM12 16v4m-4 0h8",
  moon: "M19.5 14.500A8 8 0 0 1 9.5 4.500a8 8 0 1 0 10 10Z",
  more: "M12 5.500v.1m0 6.400v.1m0 6.400v.1",
  plus: "M12 5v14M5 12h14",
  retry: "M19.5 12a7.5 7.5 0 1 1-2.3-5.400M19.5 3.500v4.300h-4.3",
  room: "M9.5 4 7.5 20M16.5 4l-2 16M4.5 9h16M3.5 15h16",
  search: "M10.5 4a6.5 6.5 0 1 1 0 13 6.5 6.5 0 0 1 0-13Zm5 11.500L20.5 20.5",
  send: "M4 4.5 20.5 12 4 19.500l2.5-7.500L4 4.500Zm2.5 7.500H13",
  settings: "M4 7h9m5 0h2M4 17h2m5 0h9M15.5 4.700a2.3 2.3 0 1 1 0 4.6 2.3 2.3 0 0 1 0-4.600Zm-7 10a2.3 2.3 0 1 1 0 4.6 2.3 2.3 0 0 1 0-4.600Z",
  sun: "M12 8a4 4 0 1 1 0 8 4 4 0 0 1 0-8Zm0-5v1.500M12 19.500V21M3 12h1.500M19.5 12H21M5.6 5.600l1.1 1.100m10.6 10.6 1.1 1.100m0-12.8-1.1 1.100M6.7 17.300l-1.1 1.1",
  trash: "M4.5 6.500h15M9.5 6.500v-2h5v2m-8 0 1 13.500h9l1-13.500M10.5 10v6.500m3-6.500v6.5",
  unlock: "M6 11h12v9H6v-9Zm2.5 0V8a3.5 3.5 0 0 1 6.8-1.2",
  user: "M12 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8ZM4.5 20c0-4 3-6 7.5-6s7.5 2 7.5 6",
  "user-plus": "M10 4a4 4 0 1 1 0 8 4 4 0 0 1 0-8ZM2.5 20c0-4 3-6 7.5-6 2 0 3.8.4 5.1 1.300M18.5 14v6m-3-3h6",
};

/** @typedef {keyof typeof PATHS} IconName */

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
  path.setAttribute("d", PATHS[name]);
  svg.append(path);
  return svg;
}
