// The study as the page holds it: its trials, the axes they lie on, and which of them are chosen.

const study = JSON.parse(document.getElementById("data").textContent);
const trials = study.trials.number.map((number, index) => {
  const trial = { index };
  for (const [name, column] of Object.entries(study.trials)) trial[name] = column[index];
  trial.name = `${trial.round}/${trial.number}`;
  return trial;
});
const states = ["complete", "pruned", "stopped", "diverged", "infeasible", "failed"];

// What lies between two ends, as a share of the way. Beyond them it stays at the end.
class Axis {
  constructor(label, values, { low, high, log = false, choices = [] }) {
    Object.assign(this, { label, values, low, high, log, choices });
    this.places = values.map((value) => (value === null ? NaN : this.place(Number(value))));
  }

  scaled(value) {
    return this.log ? Math.log10(value) : value;
  }

  place(value) {
    const low = this.scaled(this.low), high = this.scaled(this.high);
    const place = (this.scaled(value) - low) / (high - low);
    return Number.isNaN(place) ? NaN : Math.min(Math.max(place, 0), 1);
  }

  value(place) {
    const low = this.scaled(this.low), high = this.scaled(this.high);
    const scaled = low + place * (high - low);
    return this.log ? 10 ** scaled : scaled;
  }

  text(value) {
    if (value === null || value === undefined) return "";
    return this.choices.length ? this.choices[value] : plain(Number(value));
  }

  ticks(about) {
    if (!this.choices.length) return ticks(this.low, this.high, this.log, about);
    const stride = Math.ceil(this.choices.length / 20);
    return this.choices.map((_, index) => index).filter((index) => index % stride === 0);
  }
}

const hyperparameters = study.hyperparameters.map((described) =>
  Object.assign(new Axis(described.name, described.values, described), { described }));

// Trials without a value lie at the worse end, and so do those too far off to be drawn to scale.
const heights = study.scales.values;
const valueAxis = new Axis(study.metric, trials.map((trial) => drawnValue(trial)), heights);

function drawnValue({ value }) {
  if (value === null || (heights.log && value <= 0)) return heights.floor;
  return heights.worse_is_low ? Math.max(value, heights.floor) : Math.min(value, heights.floor);
}

const roundAxis = new Axis("round", study.trials.round, {
  low: 0.6, high: study.rounds.length + 0.4, choices: [],
});
roundAxis.ticks = () => ticks(1, Math.max(study.rounds.length, 2), false, 6)
  .filter((tick) => Number.isInteger(tick) && tick <= study.rounds.length);
const axes = [...(study.rounds.length > 1 ? [roundAxis] : []), ...hyperparameters, valueAxis];

// Which trials are chosen by brushes and states, and which one is picked or hovered.
const selection = {
  brushes: new Map(), // from an axis to a test of places
  states: new Set(states),
  chosen: trials.map(() => true),
  picked: null,
  hovered: null,
  listeners: [],
  waiting: false,

  get isAll() {
    return this.chosen.every(Boolean);
  },

  get indices() {
    return trials.map((trial) => trial.index).filter((index) => this.chosen[index]);
  },

  brush(axis, test) {
    if (test) this.brushes.set(axis, test);
    else this.brushes.delete(axis);
    this.changed();
  },

  clear() {
    this.brushes.clear();
    this.states = new Set(states);
    this.picked = null;
    this.changed();
  },

  pick(index) {
    this.picked = this.picked === index ? null : index;
    this.changed();
  },

  // However many changes a frame brings, all that follows is drawn once.
  changed() {
    for (const trial of trials) {
      this.chosen[trial.index] = this.states.has(trial.state) &&
        [...this.brushes].every(([axis, { holds }]) => holds(axis.places[trial.index]));
    }
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      for (const listener of this.listeners) listener();
    });
  },
};

// A stretch of an axis, and a set of choices.
const between = (low, high) => ({ low, high, holds: (place) => place >= low && place <= high });
const among = (axis, indices) => {
  const places = new Set(indices.map((index) => axis.place(index)));
  return { indices, holds: (place) => places.has(place) };
};
