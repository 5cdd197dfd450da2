// @ts-check
/** QR codes, drawn in the page. */

import { correction, generate } from "../vendor/lean-qr.js";

const SVG = "http://www.w3.org/2000/svg";
const QUIET = 4; // modules around the code, as ISO/IEC 18004 has it

/**
 * The QR code of a text. It is black on white in every theme, as scanners expect.
 * @param {string} text
 * @param {string} label for screen readers
 */
export function qrCode(text, label) {
  const code = generate(text, { minCorrectionLevel: correction.M });
  let dark = "";
  for (let y = 0; y < code.size; y += 1) {
    for (let x = 0; x < code.size; x += 1) if (code.get(x, y)) dark += `M${x} ${y}h1v1h-1z`;
  }
  const whole = code.size + 2 * QUIET;
  const svg = make("svg", { class: "qr", viewBox: `${-QUIET} ${-QUIET} ${whole} ${whole}`, role: "img", "aria-label": label });
  svg.append(
    make("rect", { x: -QUIET, y: -QUIET, width: whole, height: whole, fill: "#fff" }),
    make("path", { d: dark, fill: "#000", "shape-rendering": "crispEdges" }),
  );
  return svg;
}

/** @param {string} tag @param {Record<string, string | number>} attributes */
function make(tag, attributes) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
  return node;
}
