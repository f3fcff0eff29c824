// Tables: importance, rounds, and the trials, which can be sorted and copied.

function make(tag, attributes = {}, ...inside) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name in element && name !== "list") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...inside.filter((part) => part !== null && part !== undefined));
  return element;
}

function cell(text, kind = "text") {
  return make("td", { className: kind }, String(text ?? ""));
}

function drawImportance() {
  const host = document.getElementById("importance");
  const tested = hyperparameters.filter(({ described }) => (described.move?.p_value ?? null) !== null);
  const note = document.getElementById("importance-note");
  if (!tested.length) note.textContent = study.hyperparameters[0]?.move?.reason ?? "";
  else note.textContent = "The p-value is the probability that a hyperparameter without any effect " +
    "would appear to matter this much by chance, given all trials: the longer the bar, the " +
    "stronger the evidence. PED-ANOVA is its share in separating the best 10% of complete " +
    "trials from the rest. The two can disagree: a hyperparameter may matter over its whole " +
    "range, and no longer among the best trials.";
  const power = (p) => Math.min(-Math.log10(Math.max(p, 1e-16)), 16);
  const most = Math.max(...tested.map(({ described }) => power(described.move.p_value)), 2);
  const rows = hyperparameters.map(({ described }) => {
    const p = described.move?.p_value ?? null;
    return make("tr", {},
      make("th", { scope: "row" }, described.name),
      bar(p === null ? null : power(p) / most, p === null ? "" : p < 1e-99 ? "< 1e-99" : plain(p), ""),
      bar(described.ped_anova, described.ped_anova === null ? "" : plain(described.ped_anova), "other"),
      cell(described.move ? described.move.kind : ""));
  });
  host.append(make("table", {},
    make("thead", {}, make("tr", {}, ...["hyperparameter", "p-value", "PED-ANOVA", "next range"]
      .map((name) => make("th", { scope: "col" }, name)))),
    make("tbody", {}, ...rows)));
}

function bar(share, text, kind) {
  const meter = make("span", { className: `meter ${kind}`, "aria-hidden": "true" });
  meter.style.width = `${share === null ? 0 : Math.max(share * 110, 1)}px`;
  return make("td", { className: "number", style: "text-align: left" }, meter, text);
}

function drawRounds() {
  const why = ({ kind, reason }) => (reason ? ` (${kind && `${kind}: `}${reason})` : "");
  const rows = study.rounds.map((round) => make("tr", {},
    cell(round.number, "number"), cell(round.trials, "number"),
    cell(round.best === null ? "" : fourDigits(round.best), "number"),
    make("td", { className: "long" },
      round.ended ? "" : "Not finished yet. ", round.stopped && `${round.stopped}. `,
      ...round.ranges.slice(0, 12).map((range) =>
        make("div", {}, `${range.name}: ${range.range}${why(range)}`)),
      round.ranges.length > 12 ? make("div", {}, `and ${round.ranges.length - 12} more`) : null)));
  document.getElementById("rounds").append(make("table", {},
    make("thead", {}, make("tr", {},
      ...["round", "trials", "best"].map((name) =>
        make("th", { scope: "col", className: "number" }, name)),
      make("th", { scope: "col" }, "ranges, and why"))),
    make("tbody", {}, ...rows)));
}

// A trial as a study file writes it.
function startTable(trial) {
  const lines = hyperparameters.map((axis) => {
    const { key, kind, literals } = axis.described;
    const value = axis.values[trial.index];
    if (value === null) return null;
    let text = kind === "choice" ? literals[value] : String(value);
    if (kind === "float" && !/[.e]/.test(text)) text += ".0";
    return `${key} = ${text}`;
  });
  return ["[[start]]", ...lines.filter((line) => line !== null)].join("\n") + "\n";
}

// Shown as well, since a page inside another one may not write to the clipboard: Ctrl-C then does.
async function copy(trial) {
  const area = document.getElementById("copied-text");
  document.getElementById("copied").hidden = false;
  area.value = startTable(trial);
  area.rows = Math.min(hyperparameters.length + 2, 12);
  area.focus({ preventScroll: true });
  area.select();
  try {
    await navigator.clipboard.writeText(area.value);
  } catch {
    document.execCommand("copy");
  }
}

function closeCopied() {
  document.getElementById("copied").hidden = true;
}

const table = {
  few: 200, // rows at first
  all: false,
  rows: [], // by trial, each made once
  sort: null,
  descending: false,

  columns: [
    { name: "trial", of: (trial) => trial.round * 1e6 + trial.number, text: (trial) => trial.name },
    { name: "state", of: (trial) => trial.state, text: (trial) => trial.state },
    { name: study.metric, of: (trial) => trial.value, text: (trial) => fourDigits(trial.value ?? NaN) },
    ...(study.trials.error.every((error) => error === null) ? [] : [{
      name: "standard error", of: (trial) => trial.error,
      text: (trial) => fourDigits(trial.error ?? NaN),
    }]),
    ...(study.trials.mean.every((mean) => mean === null) ? [] : [{
      name: "mean of repeats", of: (trial) => trial.mean,
      text: (trial) => fourDigits(trial.mean ?? NaN),
    }]),
    ...hyperparameters.map((axis) => ({
      name: axis.label,
      of: ({ index }) =>
        (axis.choices.length ? axis.text(axis.values[index]) : numeric(axis.values[index])),
      text: (trial) => {
        const value = axis.values[trial.index];
        if (value === null || axis.choices.length || axis.described.kind === "integer") {
          return value === null ? "" : axis.choices.length ? axis.text(value) : String(value);
        }
        return fourDigits(Number(value));
      },
    })),
    { name: "epochs", of: (trial) => trial.epochs, text: (trial) => String(trial.epochs) },
    { name: "seconds", of: (trial) => trial.seconds, text: (trial) => fourDigits(trial.seconds ?? NaN) },
    ...(study.trials.message.some(Boolean) ? [
      {
        name: "message", kind: "long message", of: ({ message }) => message,
        text: ({ message }) => message,
      },
    ] : []),
  ],

  begin() {
    this.sort = this.columns[2];
    this.descending = study.direction === "maximize";
    const heads = this.columns.map((column) => {
      const button = make("button", { type: "button" }, column.name);
      button.addEventListener("click", () => {
        if (this.sort === column) this.descending = !this.descending;
        else [this.sort, this.descending] = [column, false];
        this.draw();
      });
      column.head = make("th", { scope: "col" }, button);
      return column.head;
    });
    this.body = make("tbody");
    this.more = make("button", { type: "button" });
    this.more.addEventListener("click", () => { this.all = true; this.draw(); });
    document.getElementById("trials").append(
      make("table", {},
        make("thead", {}, make("tr", {}, ...heads, make("th", { scope: "col" }, "copy"))),
        this.body),
      this.more);
    document.getElementById("close").addEventListener("click", closeCopied);
    addEventListener("keydown", (event) => { if (event.key === "Escape") closeCopied(); });
    selection.listeners.push(() => this.later());
    this.draw();
  },

  // The table waits until a brush rests.
  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.draw(), 80);
  },

  sorted() {
    const { of } = this.sort, sign = this.descending ? -1 : 1;
    const known = (value) => value !== null && value !== undefined && value !== "";
    return trials.filter((trial) => selection.chosen[trial.index]).sort((a, b) => {
      const [first, second] = [of(a), of(b)];
      if (!known(first) || !known(second)) return known(second) - known(first) || a.index - b.index;
      return sign * (first < second ? -1 : first > second ? 1 : 0) || a.index - b.index;
    });
  },

  draw() {
    const rows = this.sorted();
    const shown = this.all ? rows : rows.slice(0, this.few);
    const kept = shown.map((trial) => (this.rows[trial.index] ??= this.row(trial)));
    const now = this.body.children;
    if (kept.length !== now.length || kept.some((row, at) => row !== now[at])) {
      const active = document.activeElement;
      this.body.replaceChildren(...kept);
      if (this.body.contains(active)) active.focus({ preventScroll: true });
    }
    for (const trial of shown) {
      const picked = trial.index === selection.picked;
      this.rows[trial.index].className = picked ? "picked" : "";
    }
    this.more.hidden = shown.length === rows.length;
    this.more.textContent = `Show all ${rows.length}`;
    for (const column of this.columns) {
      const order = this.descending ? "descending" : "ascending";
      if (column === this.sort) column.head.setAttribute("aria-sort", order);
      else column.head.removeAttribute("aria-sort");
      column.head.firstChild.textContent = column.name +
        (column === this.sort ? (this.descending ? " ▾" : " ▴") : "");
    }
  },

  row(trial) {
    const label = `Copy ${trial.name} as [[start]]`;
    const button = make("button", { type: "button", "aria-label": label }, "Copy");
    button.addEventListener("click", (event) => { event.stopPropagation(); copy(trial); });
    const row = make("tr", { tabIndex: 0 },
      ...this.columns.map((column) => cell(column.text(trial), column.kind ??
        (typeof column.of(trial) === "number" ? "number" : "text"))),
      make("td", {}, button));
    const hover = (index) => { selection.hovered = index; parallel.mark(); };
    row.addEventListener("pointerenter", () => hover(trial.index));
    row.addEventListener("pointerleave", () => hover(null));
    row.addEventListener("focus", () => hover(trial.index));
    row.addEventListener("blur", () => hover(null));
    row.addEventListener("click", () => selection.pick(trial.index));
    row.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target === row) selection.pick(trial.index);
    });
    return row;
  },
};

function numeric(value) {
  return value === null ? null : Number(value);
}
