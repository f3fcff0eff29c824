// Charts drawn by Bokeh. Each is made when it comes into view, and follows the chosen trials.

const charts = new Map(); // from an element to how it is drawn

const watcher = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) if (isIntersecting) drawChart(target);
}, { rootMargin: "300px" });

// `build` returns a figure, and a function that is called when other trials are chosen.
function addChart(element, label, build) {
  element.setAttribute("aria-label", label);
  charts.set(element, { build, follow: null });
  watcher.observe(element);
}

async function drawChart(element) {
  const chart = charts.get(element);
  watcher.unobserve(element);
  const { figure, follow } = chart.build(element);
  element.replaceChildren();
  follow?.();
  chart.follow = follow ?? (() => {});
  chart.figure = figure;
  await Bokeh.Plotting.show(figure, element);
  element.dataset.drawn = "true";
}

function redrawCharts() {
  for (const [element, chart] of charts) if (chart.follow) drawChart(element);
}

selection.listeners.push(() => {
  for (const chart of charts.values()) chart.follow?.();
});
dark.addEventListener("change", () => {
  redrawCharts();
  parallel.draw();
});

// A figure in the colors of the page. On a touch screen a finger scrolls the page, not the chart.
function figureOf(x, y, options = {}) {
  const ink = color("ink"), gray = color("gray"), pale = color("pale"), ground = color("ground");
  const figure = Bokeh.Plotting.figure({
    sizing_mode: "stretch_width", height: 240, toolbar_location: "above",
    tools: "box_zoom,pan,wheel_zoom,reset,save",
    x_axis_type: x.log ? "log" : "linear", y_axis_type: y.log ? "log" : "linear",
    x_range: new Bokeh.Range1d({ start: x.low, end: x.high }),
    y_range: new Bokeh.Range1d({ start: y.low, end: y.high }),
    background_fill_color: ground, border_fill_color: ground, outline_line_color: null,
    ...options,
  });
  figure.toolbar.logo = null;
  figure.toolbar.autohide = true;
  figure.toolbar.active_drag = matchMedia("(pointer: coarse)").matches ? null
    : figure.toolbar.tools.find((tool) => tool.type === "BoxZoomTool");
  for (const [axis, described] of [[figure.xaxis, x], [figure.yaxis, y]]) {
    const one = Array.isArray(axis) ? axis[0] : axis;
    one.axis_line_color = gray;
    one.major_tick_line_color = gray;
    one.minor_tick_line_color = null;
    one.major_label_text_color = ink;
    if (described.choices?.length) nameChoices(one, described);
  }
  for (const grid of [figure.xgrid, figure.ygrid].flat()) grid.grid_line_color = pale;
  for (const grid of [figure.xgrid, figure.ygrid].flat()) grid.grid_line_alpha = 0.5;
  return figure;
}

function nameAxis(axis, name, letters = 40) {
  const [one] = [axis].flat();
  one.axis_label = new Bokeh.PlainText({ text: shortened(name, letters) });
  one.axis_label_text_color = color("ink");
  one.axis_label_text_font_style = "normal";
}

// Names are data from anywhere: as plain text no markup is looked for in them.
function nameChoices(axis, described) {
  axis.ticker = new Bokeh.FixedTicker({ ticks: described.ticks(20) });
  axis.major_label_overrides = new Map(described.choices.map((choice, index) =>
    [index, new Bokeh.PlainText({ text: shortened(choice, 18) })]));
  if (described.choices.join("").length > 30) axis.major_label_orientation = 0.6;
}

// Each trial as a mark over x and y; a click picks it.
function addTrials(figure, xs, ys, extra = {}, edge = "gray") {
  const clear = "rgba(0,0,0,0)";
  const source = new Bokeh.ColumnDataSource({ data: {
    x: xs, y: ys,
    name: trials.map((trial) => trial.name),
    value: trials.map((trial) => (trial.value === null ? trial.state : fourDigits(trial.value))),
    fill: trials.map((trial) => (trial.state === "complete" ? colorOf(trial) : clear)),
    line: trials.map((trial) => (trial.state === "complete" ? color(edge) : colorOf(trial))),
    marker: trials.map((trial) => ({ diverged: "x", failed: "cross" }[trial.state] ?? "circle")),
    ...extra,
  } });
  const drawn = figure.scatter({
    x: { field: "x" }, y: { field: "y" }, source, size: trials.length > 300 ? 5 : 7,
    fill_color: { field: "fill" }, line_color: { field: "line" }, marker: { field: "marker" },
    line_width: 0.7, fill_alpha: 0.9, nonselection_fill_alpha: 0.04, nonselection_line_alpha: 0.06,
  });
  return followed(source, drawn, figure, [["trial", "@name"], ["value", "@value"],
    ...Object.keys(extra).map((column) => [column, `@{${column}}`])]);
}

// Let marks show what they are, be picked by a click, and follow the chosen trials.
function followed(source, drawn, figure, tooltips) {
  figure.add_tools(new Bokeh.HoverTool({ tooltips, renderers: [drawn], point_policy: "snap_to_data" }));
  const tap = new Bokeh.TapTool({ renderers: [drawn] });
  figure.add_tools(tap);
  let following = false;
  source.selected.properties.indices.change.connect(() => {
    if (following) return;
    const [picked] = source.selected.indices;
    if (picked !== undefined) selection.pick(source.data.index?.[picked] ?? picked);
    follow();
  });
  const follow = () => {
    following = true;
    source.selected.indices = selection.isAll ? [] : selection.indices;
    following = false;
  };
  return follow;
}

function addRing(figure, x, y) {
  figure.scatter({ x: [x], y: [y], size: 15, fill_color: null, line_color: color("ink"), line_width: 2 });
}

const indexOf = (named) =>
  trials.findIndex((trial) => trial.round === named?.round && trial.number === named?.number);
const recommended = indexOf(study.summary.recommended);

function drawHistory() {
  const across = { low: 0.5, high: Math.max(trials.length, 1) + 0.5 };
  const figure = figureOf(across, heights, { height: 260 });
  const line = study.best_so_far;
  for (const round of study.rounds.slice(1)) figure.add_layout(new Bokeh.Span({
    location: round.places[0], dimension: "height", line_color: color("gray"), line_dash: [4, 3],
    line_alpha: study.rounds.length > 10 ? 0.3 : 1,
  }));
  const follow = addTrials(figure, trials.map((trial) => trial.index + 1), valueAxis.values);
  if (line.place.length) figure.step({
    x: [...line.place, across.high],
    y: [...line.value, line.value.at(-1)].map((value) => drawnValue({ value })),
    mode: "after", line_width: 2.5, line_color: color("validation"),
  });
  nameAxis(figure.xaxis, "trial (in order)");
  nameAxis(figure.yaxis, study.metric, 24);
  if (recommended >= 0) addRing(figure, recommended + 1, valueAxis.values[recommended]);
  return { figure, follow };
}

// For each round the share of its complete trials with at most a value: steps from 0 to 1.
function drawShares() {
  const figure = figureOf(heights, { low: -0.03, high: 1.03 }, { height: 240 });
  const last = study.rounds.length;
  study.rounds.forEach((round, at) => {
    const values = trials
      .filter((trial) => trial.round === round.number && trial.state === "complete")
      .map(drawnValue).sort((a, b) => a - b);
    if (!values.length) return;
    const drawn = figure.step({
      x: [heights.low, ...values, heights.high],
      y: [0, ...values.map((_, i) => (i + 1) / values.length), 1],
      mode: "after", line_width: 2.2,
      line_color: at === last - 1 ? color("ink") : shade((at + 1) / last),
      line_dash: at % 2 ? "solid" : [6, 3],
    });
    figure.add_tools(new Bokeh.HoverTool({
      renderers: [drawn],
      tooltips: [["round", String(round.number)], ["value", "@x"], ["share", "@y"]],
    }));
  });
  nameAxis(figure.xaxis, study.metric);
  nameAxis(figure.yaxis, "share of trials");
  return { figure };
}

function drawSlice(axis) {
  const { described } = axis;
  const figure = figureOf(axis, heights, { height: 230 });
  nameAxis(figure.yaxis, study.metric, 24);
  const last = described.ranges.at(-1);
  for (const [left, right] of last?.spans ?? []) figure.add_layout(new Bokeh.BoxAnnotation({
    left, right, fill_color: null, line_color: color("gray"), line_dash: [4, 3], level: "underlay",
  }));
  for (const [left, right] of described.move?.spans ?? []) figure.add_layout(new Bokeh.BoxAnnotation({
    left, right, fill_color: color("range"), fill_alpha: 0.13, line_color: color("range"),
    level: "underlay",
  }));
  if (described.slice) addSurface(figure, axis, described.slice);
  const extra = { at: axis.values.map((value) => axis.text(value)) };
  const places = jittered(axis);
  const follow = addTrials(figure, places, valueAxis.values, extra);
  if (recommended >= 0) addRing(figure, places[recommended], valueAxis.values[recommended]);
  return { figure, follow };
}

function addSurface(figure, axis, slice) {
  const [low, high, mean] = ["low", "high", "mean"]
    .map((side) => slice[side].map((value) => drawnValue({ value })));
  if (axis.choices.length) {
    figure.segment({ x0: slice.at, x1: slice.at, y0: low, y1: high, line_width: 14,
      line_color: color("validation"), line_alpha: 0.25 });
    figure.scatter({ x: slice.at, y: mean, marker: "dash", size: 22, line_width: 3,
      line_color: color("validation") });
    return;
  }
  figure.varea({ x: slice.at, y1: low, y2: high, fill_color: color("validation"), fill_alpha: 0.18 });
  figure.line({ x: slice.at, y: mean, line_width: 2.5, line_color: color("validation") });
}

// Choices side by side, so that equal ones do not hide each other; the same on every drawing.
function jittered(axis) {
  return axis.values.map((value, index) => {
    if (value === null) return NaN;
    return axis.choices.length ? value + 0.5 * (((index * 0.618034) % 1) - 0.5) : Number(value);
  });
}

function drawCurves(element) {
  const scale = study.scales.curves;
  const longest = Math.max(...trials.map((trial) => trial.epochs), 2);
  const figure = figureOf({ low: 1, high: longest }, scale, { height: 320 });
  nameAxis(figure.xaxis, "epoch");
  nameAxis(figure.yaxis, study.metric, 24);
  const stride = study.curves.stride;
  const clamp = (value) => {
    if (value === null || (scale.log && value <= 0)) return NaN;
    return Math.min(Math.max(value, scale.low), scale.high);
  };
  const curves = trials.map((trial) => study.curves.values[trial.index].map(clamp));
  const epochs = trials.map((trial) => curves[trial.index].map((_, at) =>
    Math.min(1 + at * stride, trial.epochs)));
  const source = new Bokeh.ColumnDataSource({ data: columns([]) });
  const ends = new Bokeh.ColumnDataSource({ data: { x: [], y: [], color: [] } });
  const drawn = figure.multi_line({
    xs: { field: "xs" }, ys: { field: "ys" }, source, line_color: { field: "color" },
    line_width: 1.2, line_alpha: 0.6, nonselection_line_alpha: 0.6,
  });
  figure.scatter({ x: { field: "x" }, y: { field: "y" }, source: ends, size: 3.5,
    fill_color: { field: "color" }, line_color: null });
  const bold = figure.line({ x: [], y: [], line_width: 3.5, line_color: color("ink") });
  figure.add_tools(new Bokeh.HoverTool({
    tooltips: [["trial", "@name"], ["value", "@value"], ["state", "@state"]],
    renderers: [drawn], line_policy: "nearest",
  }));

  function columns(indices) {
    const sorted = indices.map((index) => trials[index]);
    return {
      xs: sorted.map((trial) => epochs[trial.index]),
      ys: sorted.map((trial) => curves[trial.index]),
      color: sorted.map(colorOf), name: sorted.map((trial) => trial.name),
      state: sorted.map((trial) => trial.state),
      value: sorted.map((trial) => (trial.value === null ? "" : fourDigits(trial.value))),
    };
  }

  const follow = () => {
    const shown = parallel.order().map((trial) => trial.index)
      .filter((index) => selection.chosen[index] && curves[index].length);
    source.data = columns(shown);
    ends.data = {
      x: shown.map((index) => epochs[index].at(-1)), y: shown.map((index) => curves[index].at(-1)),
      color: shown.map((index) => colorOf(trials[index])),
    };
    const picked = selection.picked ?? recommended;
    bold.data_source.data = picked < 0 ? { x: [], y: [] } : { x: epochs[picked], y: curves[picked] };
    element.dataset.curves = String(shown.length);
  };
  return { figure, follow };
}

function drawTimeline() {
  const known = study.timeline.trial.map((index, at) => ({
    ...trials[index],
    ...Object.fromEntries(["part", "started", "seconds", "place", "lane"]
      .map((name) => [name, study.timeline[name][at]])),
  }));
  const end = Math.max(...known.map((trial) => trial.started + trial.seconds), 1e-3);
  const [unit, name] = end < 300 ? [1, "seconds"] : end < 7200 ? [60, "minutes"] : [3600, "hours"];
  const lanes = Math.max(...known.map((trial) => trial.lane)) + 1;
  const across = { low: -0.01 * end / unit, high: 1.01 * end / unit };
  const figure = figureOf(across, { low: lanes - 0.4, high: -0.6 }, {
    height: Math.min(Math.max(90 + 22 * lanes, 150), 420),
  });
  const axis = [figure.yaxis].flat()[0];
  const ticks = [...new Set(known.map((trial) => trial.lane))].sort((a, b) => a - b);
  const stride = Math.ceil(lanes / 14);
  axis.ticker = new Bokeh.FixedTicker({ ticks: ticks.filter((_, at) => at % stride === 0) });
  axis.major_label_overrides = new Map(known.map((trial) =>
    [trial.lane, new Bokeh.PlainText({ text: shortened(trial.place || "?", 16) })]));
  nameAxis(figure.xaxis, `${name} since the first trial started`);
  const source = new Bokeh.ColumnDataSource({ data: {
    y: known.map((trial) => trial.lane), left: known.map((trial) => trial.started / unit),
    // A sliver at least, which can be seen.
    right: known.map((trial) => (trial.started + Math.max(trial.seconds, end / 400)) / unit),
    color: known.map((trial) => colorOf(trials[trial.index])),
    name: known.map((trial) => (trial.part ? `${trial.name}/${trial.part}` : trial.name)),
    state: known.map((trial) => trial.state), place: known.map((trial) => trial.place),
    took: known.map((trial) => duration(trial.seconds)), index: known.map((trial) => trial.index),
  } });
  const drawn = figure.hbar({
    y: { field: "y" }, left: { field: "left" }, right: { field: "right" }, height: 0.8, source,
    fill_color: { field: "color" }, line_color: color("ground"), line_width: 0.5,
    nonselection_fill_alpha: 0.1,
  });
  figure.add_tools(new Bokeh.HoverTool({ renderers: [drawn], tooltips: [
    ["trial", "@name"], ["state", "@state"], ["took", "@took"], ["place", "@place"],
  ] }));
  const follow = () => {
    const chosen = known.map((trial, at) => (selection.chosen[trial.index] ? at : -1));
    source.selected.indices = selection.isAll ? [] : chosen.filter((at) => at >= 0);
  };
  return { figure, follow };
}
