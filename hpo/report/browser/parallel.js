// Parallel coordinates: a line for each trial, and a brush on each axis.

const parallel = {
  top: 84, bottom: 28, height: 400, left: 66, right: 40, least: 70,
  host: document.getElementById("parallel"),

  begin() {
    this.lines = this.canvas();
    this.marks = this.canvas(); // the hovered and the picked trial
    this.svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    this.svg.setAttribute("role", "img");
    this.svg.setAttribute("aria-label", `${counted(trials.length, "trial")} on ${axes.length} axes: ` +
      `${axes.map((axis) => axis.label).join(", ")}. The table of trials has the same values.`);
    this.host.append(this.svg);
    new ResizeObserver(() => this.layOut()).observe(this.host);
    selection.listeners.push(() => this.draw());
    this.svg.addEventListener("pointermove", (event) => this.hover(event));
    this.svg.addEventListener("pointerleave", () => this.show(null));
    this.svg.addEventListener("click", (event) => {
      const found = event.target.classList.contains("grip") ? null : this.nearest(event);
      if (found !== null) selection.pick(found);
    });
  },

  canvas() {
    const canvas = document.createElement("canvas");
    canvas.setAttribute("aria-hidden", "true");
    this.host.append(canvas);
    return canvas;
  },

  layOut() {
    const room = this.host.clientWidth;
    if (room === this.room) return;
    this.room = room;
    const width = Math.max(room, this.left + this.right + this.least * (axes.length - 1));
    this.gap = (width - this.left - this.right) / Math.max(axes.length - 1, 1);
    this.width = width;
    for (const canvas of [this.lines, this.marks]) {
      canvas.width = width * devicePixelRatio;
      canvas.height = this.height * devicePixelRatio;
      canvas.style.width = `${width}px`;
      canvas.style.height = `${this.height}px`;
    }
    this.svg.setAttribute("width", width);
    this.svg.setAttribute("height", this.height);
    this.host.style.height = `${this.height + 16}px`;
    this.drawAxes();
    this.draw();
  },

  x(at) {
    return this.left + at * this.gap;
  },

  y(place) {
    return this.height - this.bottom - place * (this.height - this.bottom - this.top);
  },

  place(y) {
    const place = (this.height - this.bottom - y) / (this.height - this.bottom - this.top);
    return Math.min(Math.max(place, 0), 1);
  },

  element(name, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    this.svg.append(made);
    return made;
  },

  drawAxes() {
    this.svg.replaceChildren();
    this.bars = new Map();
    axes.forEach((axis, at) => {
      const x = this.x(at);
      this.element("line", { x1: x, x2: x, y1: this.y(0), y2: this.y(1) });
      for (const tick of axis.ticks(6)) {
        const y = this.y(axis.place(tick));
        this.element("line", { x1: x - 4, x2: x, y1: y, y2: y });
        const text = shortened(axis.text(tick), 10);
        this.element("text", { x: x - 6, y: y + 4, "text-anchor": "end" }, text);
      }
      if (axis.places.some(Number.isNaN)) {
        this.element("text", { x: x - 6, y: this.y(0) + 18, "text-anchor": "end" }, "none");
      }
      const name = this.element("text", {
        class: "name", transform: `translate(${x - 4},${this.top - 12}) rotate(-28)`,
      }, shortened(axis.label, this.gap > 150 ? 30 : 18));
      if (at === axes.length - 1) { // below: above, it would lie across the name before
        name.setAttribute("transform", `translate(${x + 8},${this.height - 6})`);
        name.setAttribute("text-anchor", "end");
      }
      const bar = this.element("rect", { class: "brush", x: x - 7, width: 14, height: 0, y: 0 });
      this.bars.set(axis, bar);
      const grip = this.element("rect", {
        class: "grip", x: x - 14, width: 28, y: this.top - 8,
        height: this.height - this.bottom - this.top + 16, "data-axis": at,
      });
      this.element("title", {}, axis.label);
      grip.append(this.svg.lastChild);
      this.listen(grip, axis);
    });
  },

  listen(grip, axis) {
    let from = null;
    const at = (event) => this.place(event.clientY - this.svg.getBoundingClientRect().top);
    grip.addEventListener("pointerdown", (event) => {
      from = at(event);
      grip.setPointerCapture(event.pointerId);
      event.preventDefault();
    });
    grip.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const [low, high] = [from, at(event)].sort((a, b) => a - b);
      if (high - low > 0.01) selection.brush(axis, between(low, high));
    });
    grip.addEventListener("pointerup", (event) => {
      if (from !== null && Math.abs(at(event) - from) <= 0.01) selection.brush(axis, null);
      from = null;
    });
    grip.addEventListener("pointercancel", () => { from = null; });
  },

  // Worst first, so that the best lie on top; complete trials over all others.
  order() {
    const rank = (trial) => (trial.state === "complete" ? 1 + goodness(trial.value) : 0);
    this.sorted ??= [...trials].sort((a, b) => rank(a) - rank(b) || b.index - a.index);
    return this.sorted;
  },

  draw() {
    if (!this.width) return;
    const paper = this.lines.getContext("2d");
    paper.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    paper.clearRect(0, 0, this.width, this.height);
    for (const chosen of [false, true]) {
      const many = Math.max(selection.chosen.filter((each) => each === chosen).length / 100, 1) ** 0.5;
      for (const trial of this.order()) {
        if (selection.chosen[trial.index] !== chosen) continue;
        paper.globalAlpha = chosen ? Math.max(0.85 / many, 0.25) : Math.max(0.5 / many, 0.1);
        paper.strokeStyle = chosen ? colorOf(trial) : color("pale");
        paper.lineWidth = trial.state === "complete" && chosen ? 1.4 : 0.8;
        this.line(paper, trial.index);
      }
    }
    for (const [axis, bar] of this.bars) {
      const brush = selection.brushes.get(axis);
      const { low, high } = brush?.indices ? { low: 0, high: 0 } : brush ?? { low: 0, high: 0 };
      bar.setAttribute("y", this.y(high));
      bar.setAttribute("height", brush && !brush.indices ? this.y(low) - this.y(high) : 0);
    }
    this.mark();
  },

  // Where a line crosses an axis: below it where the trial has no value there.
  crossing(axis, index) {
    const place = axis.places[index];
    return Number.isNaN(place) ? this.y(0) + 14 : this.y(place);
  },

  line(paper, index) {
    paper.beginPath();
    axes.forEach((axis, at) => {
      if (at) paper.lineTo(this.x(at), this.crossing(axis, index));
      else paper.moveTo(this.x(at), this.crossing(axis, index));
    });
    paper.stroke();
  },

  mark() {
    const paper = this.marks.getContext("2d");
    paper.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0);
    paper.clearRect(0, 0, this.width, this.height);
    for (const index of [selection.picked, selection.hovered]) {
      if (index === null) continue;
      paper.strokeStyle = color("ground");
      paper.lineWidth = 6;
      this.line(paper, index);
      paper.strokeStyle = color("ink");
      paper.lineWidth = 2.4;
      this.line(paper, index);
    }
  },

  // The chosen trial whose line is next to the pointer, within some pixels.
  nearest(event) {
    const box = this.svg.getBoundingClientRect();
    const x = event.clientX - box.left, y = event.clientY - box.top;
    const last = Math.max(axes.length - 2, 0);
    const at = Math.min(Math.max(Math.floor((x - this.left) / this.gap), 0), last);
    const part = Math.min(Math.max((x - this.x(at)) / this.gap, 0), 1);
    const next = axes[at + 1] ?? axes[at];
    let found = null, least = 9;
    for (const index of selection.indices) {
      const [left, right] = [axes[at], next].map((axis) => this.crossing(axis, index));
      const height = left * (1 - part) + right * part;
      const away = Math.abs(height - y);
      if (away < least) [found, least] = [index, away];
    }
    return found;
  },

  hover(event) {
    this.show(this.nearest(event), event);
  },

  show(index, event) {
    selection.hovered = index;
    this.mark();
    tip.show(index === null ? "" : describeTrial(trials[index]), event);
  },
};

function shortened(text, letters) {
  return text.length <= letters ? text : `${text.slice(0, letters - 1)}…`;
}

// "trial 2/37: 0.9861", and its hyperparameters: the few that matter most.
function describeTrial(trial, most = 8) {
  const value = trial.value === null ? "" : fourDigits(trial.value);
  const first = trial.state === "complete" ? `trial ${trial.name}: ${value}`
    : `trial ${trial.name}: ${trial.state}${value && ` at ${value}`}`;
  const there = hyperparameters.filter((axis) => axis.values[trial.index] !== null);
  const lines = there.slice(0, most)
    .map((axis) => `${axis.label} ${axis.text(axis.values[trial.index])}`);
  const more = there.length - lines.length;
  return [first, ...lines, ...(more > 0 ? [`and ${more} more`] : [])].join("\n");
}

const tip = {
  element: document.getElementById("tip"),

  show(text, event) {
    this.element.hidden = !text;
    if (!text) return;
    this.element.textContent = text;
    const { width, height } = this.element.getBoundingClientRect();
    const right = event.clientX + 14;
    const left = right + width > innerWidth ? event.clientX - width - 10 : right;
    this.element.style.left = `${Math.max(left, 4)}px`;
    this.element.style.top = `${Math.min(event.clientY + 10, Math.max(innerHeight - height - 6, 4))}px`;
  },
};
