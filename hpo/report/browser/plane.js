// The surface over two hyperparameters, the others as in the recommended trial.

const plane = {
  element: document.getElementById("plane"),
  x: 0, y: 1, steps: 120,

  begin() {
    const { surface } = study;
    const names = surface?.names ?? [];
    this.axes = hyperparameters.filter((axis) => names.includes(axis.label));
    if (this.axes.length < 2) {
      document.getElementById("plane-axes").remove();
      this.element.remove();
      document.getElementById("plane-note").textContent = hyperparameters.length < 2
        ? "This needs at least two hyperparameters."
        : "There are too few trials for an estimate.";
      return;
    }
    for (const side of ["x", "y"]) {
      const list = document.getElementById(`plane-${side}`);
      list.append(...this.axes.map((axis, index) => new Option(axis.label, index)));
      list.value = this[side];
      list.addEventListener("change", () => {
        this[side] = Number(list.value);
        drawChart(this.element);
      });
    }
    addChart(this.element, "Estimated metric over two hyperparameters; the table of trials has " +
      "their values", () => this.draw());
  },

  // The expected height is a sum over trials of products, one factor for each hyperparameter: those
  // of the hyperparameters that stay where they are fold into one weight a trial.
  heights(across, upward) {
    const { surface } = study;
    const at = (axis) => surface.names.indexOf(axis.label);
    const [i, j] = [at(this.axes[this.x]), at(this.axes[this.y])];
    const fixed = surface.through.position;
    const near = (name, a, b) => {
      const away = surface.units[name] === null ? Number(a !== b) : a - b;
      return Math.exp((-away * away) / (2 * surface.lengths[name] ** 2));
    };
    const others = surface.names.map((_, name) => name).filter((name) => name !== i && name !== j);
    const weights = surface.weights.map((weight, trial) => others.reduce(
      (product, name) => product * near(name, fixed[name], surface.positions[trial][name]),
      weight * surface.height));
    const mean = surface.weights.reduce((sum, weight) => sum + weight, 0);
    const factors = (name, units) => units.map((unit) =>
      Float64Array.from(surface.positions, (position) => near(name, unit, position[name])));
    const columns = factors(i, this.units(i, across)), rows = factors(j, this.units(j, upward));
    return rows.map((row) => {
      const held = row.map((factor, trial) => factor * weights[trial]);
      return columns.map((column) => {
        let sum = mean;
        for (let trial = 0; trial < held.length; trial++) sum += held[trial] * column[trial];
        return sum;
      });
    });
  },

  units(name, values) {
    const ends = study.surface.units[name];
    if (ends === null) return values;
    const { log } = hyperparameters.find((axis) => axis.label === study.surface.names[name]);
    return values.map((value) => ((log ? Math.log10(value) : value) - ends[0]) / (ends[1] - ends[0]));
  },

  // What a height of the surface is on the metric: between the trials that are known, in proportion.
  metric(height) {
    const { height: heights, value } = study.surface.levels;
    let low = 0, high = heights.length - 1;
    if (height <= heights[low]) return value[low];
    if (height >= heights[high]) return value[high];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (heights[middle] <= height) low = middle;
      else high = middle;
    }
    const part = (height - heights[low]) / (heights[high] - heights[low]);
    return value[low] + part * (value[high] - value[low]);
  },

  cells(axis) {
    if (axis.choices.length) return axis.choices.map((_, index) => index);
    return Array.from({ length: this.steps }, (_, at) => axis.value((at + 0.5) / this.steps));
  },

  draw() {
    const [across, upward] = [this.axes[this.x], this.axes[this.y]];
    const scale = study.scales.colors;
    const figure = figureOf(across, upward, { height: 430 });
    const [columns, rows] = [this.cells(across), this.cells(upward)];
    const bands = 14;
    const banded = this.heights(columns, rows).map((row) => row.map((height) =>
      Math.min(Math.floor(goodness(this.metric(height)) * bands), bands - 1)));
    this.banded = banded;
    const edges = (axis) =>
      (axis.choices.length ? [-0.5, axis.choices.length - 0.5] : [axis.low, axis.high]);
    this.paint(figure, banded, edges(across), edges(upward), bands);
    const last = ({ described }) => described.ranges.at(-1)?.spans ?? [];
    const next = ({ described }) => described.move?.spans ?? [];
    for (const [of, look] of [[last, { line_dash: [4, 3], line_color: color("ink") }],
      [next, { line_color: color("range"), line_width: 3 }]]) {
      for (const [left, right] of of(across)) for (const [bottom, top] of of(upward)) {
        const box = { left, right, bottom, top, fill_color: null, ...look };
        figure.add_layout(new Bokeh.BoxAnnotation(box));
      }
    }
    const [xs, ys] = [jittered(across), jittered(upward)];
    const follow = addTrials(figure, xs, ys, {}, "ground");
    if (recommended >= 0) addRing(figure, xs[recommended], ys[recommended]);
    nameAxis(figure.xaxis, across.label);
    nameAxis(figure.yaxis, upward.label);
    return { figure, follow };
  },

  // Cells of one band that touch are one bar: far fewer than the cells.
  paint(figure, banded, [left, right], [bottom, top], bands) {
    const [across, upward] = [this.axes[this.x], this.axes[this.y]];
    const edge = (axis, low, high, count) => (at) => {
      if (axis.choices.length || !axis.log) return low + (at / count) * (high - low);
      return 10 ** (Math.log10(low) + (at / count) * Math.log10(high / low));
    };
    const x = edge(across, left, right, banded[0].length);
    const y = edge(upward, bottom, top, banded.length);
    const data = { left: [], right: [], bottom: [], top: [], color: [] };
    banded.forEach((row, at) => {
      for (let from = 0, to = 1; from < row.length; from = to, to = from + 1) {
        while (to < row.length && row[to] === row[from]) to++;
        data.left.push(x(from));
        data.right.push(x(to));
        data.bottom.push(y(at));
        data.top.push(y(at + 1));
        data.color.push(pale(shade((row[from] + 0.5) / bands)));
      }
    });
    figure.quad({
      left: { field: "left" }, right: { field: "right" },
      bottom: { field: "bottom" }, top: { field: "top" },
      source: new Bokeh.ColumnDataSource({ data }), fill_color: { field: "color" },
      line_color: { field: "color" }, line_width: 1,
    });
  },
};
