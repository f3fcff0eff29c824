// Colors, as the style of the page has them now; light and dark have their own.

const dark = matchMedia("(prefers-color-scheme: dark)");
const stops = Bokeh.Palettes.Viridis11.map((color) =>
  typeof color === "string"
    ? [1, 3, 5].map((from) => parseInt(color.slice(from, from + 2), 16))
    : [(color >>> 24) & 255, (color >>> 16) & 255, (color >>> 8) & 255]);

const known = new Map(); // to ask the style takes long
dark.addEventListener("change", () => known.clear());

function color(name) {
  if (!known.has(name)) {
    const style = getComputedStyle(document.documentElement);
    known.set(name, style.getPropertyValue(`--${name}`).trim());
  }
  return known.get(name);
}

// The better, the further from the color of the page.
function shade(share) {
  const at = Math.min(Math.max(dark.matches ? share : 1 - share, 0), 1) * (stops.length - 1);
  const first = Math.min(Math.floor(at), stops.length - 2), part = at - first;
  const mixed = stops[first].map((c, i) => Math.round(c + part * (stops[first + 1][i] - c)));
  return hexadecimal(mixed);
}

function hexadecimal(parts) {
  return `#${parts.map((part) => part.toString(16).padStart(2, "0")).join("")}`;
}

const colorAxis = new Axis("", [], study.scales.colors);

function goodness(value) {
  const place = colorAxis.place(value);
  return Number.isNaN(place) ? 0 : study.scales.colors.worse_is_low ? place : 1 - place;
}

// A color as a wash over the page.
function pale(hex) {
  const parts = (text) => [1, 3, 5].map((from) => parseInt(text.slice(from, from + 2), 16));
  const [ground, ink] = [parts(color("ground")), parts(hex)];
  return hexadecimal(ink.map((c, i) => Math.round(0.72 * c + 0.28 * ground[i])));
}

function colorOf(trial) {
  if (trial.state === "complete") return shade(goodness(trial.value));
  return color({ pruned: "gray", stopped: "gray", diverged: "diverged", infeasible: "gray", failed: "ink" }[trial.state]);
}
