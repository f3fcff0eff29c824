// Colors, as the style of the page has them now; light and dark have their own.

const dark = matchMedia("(prefers-color-scheme: dark)");
const stops = Bokeh.Palettes.Viridis11.map((color) =>
  typeof color === "string"
    ? [1, 3, 5].map((from) => parseInt(color.slice(from, from + 2), 16))
    : [(color >>> 24) & 255, (color >>> 16) & 255, (color >>> 8) & 255]);

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// The better, the further from the color of the page.
function shade(share) {
  const at = Math.min(Math.max(dark.matches ? share : 1 - share, 0), 1) * (stops.length - 1);
  const first = Math.min(Math.floor(at), stops.length - 2), part = at - first;
  const mixed = stops[first].map((c, i) => Math.round(c + part * (stops[first + 1][i] - c)));
  return `#${mixed.map((c) => c.toString(16).padStart(2, "0")).join("")}`;
}

const colorAxis = new Axis("", [], study.scales.colors);

function goodness(value) {
  const place = colorAxis.place(value);
  return Number.isNaN(place) ? 0 : study.scales.colors.worse_is_low ? place : 1 - place;
}

function colorOf(trial) {
  if (trial.state === "complete") return shade(goodness(trial.value));
  return color({ pruned: "gray", diverged: "diverged", failed: "ink" }[trial.state]);
}
