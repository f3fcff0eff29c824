// The page from top to bottom.

function drawSummary() {
  const { summary } = study;
  const named = (trial) => `trial ${trial.round}/${trial.number}`;
  const tile = (name, value, ...more) => make("div", {}, make("dt", {}, name),
    make("dd", { className: value.length > 13 ? "long" : "" }, value,
      ...more.filter(Boolean).map((text) => make("small", {}, text))));
  const { best, recommended: advised, confirmed, test } = summary;
  const [result, ...within] = test?.result ? test.result.split(" (") : [""];
  document.getElementById("goal").textContent =
    `${study.direction} ${study.metric} of ${study.objective}`;
  document.getElementById("summary").append(
    tile("best value", best ? fourDigits(best.value) : "none yet", best && named(best)),
    tile("recommended", advised ? named(advised) : "none yet",
      advised && `estimate ${fourDigits(advised.estimate)}`),
    tile("confirmed mean",
      confirmed && confirmed.mean !== null ? fourDigits(confirmed.mean) : "not confirmed",
      confirmed && `${named(confirmed)}, ${counted(confirmed.values, "repeat")}` +
        (confirmed.standard_error === null ? "" : `, ± ${fourDigits(confirmed.standard_error)}`)),
    tile("test set", test ? result || "interrupted" : "not spent",
      within.length ? `(${within.join(" (")}` : "", test && moment(test.when)),
    tile("trials", String(summary.trials), states.filter((state) => summary.states[state])
      .map((state) => `${summary.states[state]} ${state}`).join(", "),
    summary.repeats ? counted(summary.repeats, "repeat") : ""),
    tile("training time", duration(summary.seconds), summary.began && `from ${moment(summary.began)}`,
      summary.ended && `to ${moment(summary.ended)}`),
    tile("epochs", summary.epochs.toLocaleString("en-US")),
    tile("state", summary.state, counted(study.rounds.length, "round")));
  document.getElementById("reason").textContent = advised
    ? `Recommended: ${advised.reason.replace(/\.$/, "")}.` : "";
}

function moment(text) {
  return text ? `${text.slice(0, 10)} ${text.slice(11, 16)} UTC` : "";
}

// What the colors of complete trials mean; the worst color is that of all which is worse, too.
function drawScale() {
  const { low, high, worse_is_low: rising } = study.scales.colors;
  const cut = trials.some(({ state, value }) =>
    state === "complete" && (rising ? value < low : value > high));
  const [end, best] = (rising ? [low, high] : [high, low]).map(fourDigits);
  const worst = cut ? `${rising ? "≤" : "≥"} ${end}` : end;
  const steps = Array.from({ length: 11 }, (_, at) => shade(at / 10));
  const ramp = make("span", { role: "img", "aria-label": `color scale from ${worst} to ${best}` });
  ramp.style.background = `linear-gradient(to right, ${steps.join(", ")})`;
  document.getElementById("scale").replaceChildren(worst, ramp, best);
}

function beginBar() {
  const boxes = states.filter((state) => study.summary.states[state]).map((state) => {
    const box = make("input", { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      if (box.checked) selection.states.add(state);
      else selection.states.delete(state);
      selection.changed();
    });
    return { box, state, label: make("label", {}, box, ` ${state}`) };
  });
  document.getElementById("states").append(...boxes.map(({ label }) => label));
  document.getElementById("clear").addEventListener("click", () => selection.clear());
  const show = () => {
    const chosen = selection.indices.length;
    document.getElementById("count").textContent = `${chosen} of ${counted(trials.length, "trial")}`;
    for (const { box, state } of boxes) box.checked = selection.states.has(state);
    const picked = selection.picked === null ? "" : describeTrial(trials[selection.picked], 4);
    document.getElementById("picked").textContent = picked.replaceAll("\n", ", ");
  };
  selection.listeners.push(show);
  show();
  drawScale();
  dark.addEventListener("change", drawScale);
}

// What a drag does on an axis, by keyboard.
function beginLimits() {
  const host = document.querySelector("#limits div");
  for (const axis of axes) {
    const fields = make("fieldset", {}, make("legend", {}, axis.label));
    host.append(fields);
    if (axis.choices.length) {
      const boxes = axis.choices.map((choice, index) => {
        const box = make("input", { type: "checkbox", checked: true });
        box.addEventListener("change", () => {
          const kept = boxes.map((other, at) => (other.checked ? at : -1)).filter((at) => at >= 0);
          selection.brush(axis, kept.length === boxes.length ? null : among(axis, kept));
        });
        fields.append(make("label", {}, box, ` ${choice} `));
        return box;
      });
      selection.listeners.push(() => {
        const brush = selection.brushes.get(axis);
        boxes.forEach((box, at) => { box.checked = !brush || brush.holds(axis.place(at)); });
      });
      continue;
    }
    const [low, high] = ["from", "to"].map((side) => {
      const field = make("input", { type: "text", inputMode: "decimal" });
      field.setAttribute("aria-label", `${axis.label} ${side}`);
      fields.append(make("label", {}, `${side} `, field, " "));
      return field;
    });
    const take = () => {
      const place = (field, end) => {
        const value = field.value.trim() === "" ? NaN : Number(field.value);
        return Number.isNaN(axis.place(value)) ? end : axis.place(value);
      };
      const ends = [place(low, 0), place(high, 1)];
      selection.brush(axis, ends[0] <= 0 && ends[1] >= 1 ? null : between(...ends));
    };
    low.addEventListener("change", take);
    high.addEventListener("change", take);
    selection.listeners.push(() => {
      const brush = selection.brushes.get(axis);
      const active = document.activeElement;
      if (active !== low) low.value = brush ? plain(axis.value(brush.low)) : "";
      if (active !== high) high.value = brush ? plain(axis.value(brush.high)) : "";
    });
  }
}

function beginSlices() {
  const { round, number } = study.surface?.through ?? {};
  const recommended = study.summary.recommended;
  const ringed = recommended?.round === round && recommended?.number === number;
  const which = ringed ? "the recommended trial" : "the best trial with a value on every axis";
  document.getElementById("slices-note").append(
    study.surface
      ? `Estimates for changing one hyperparameter of ${which}, ${round}/${number}` +
        `${ringed ? " (circled)" : ""}, and keeping the others.`
      : "There are too few trials with different results for an estimate.",
    make("br"));
  const keys = [
    ...(study.surface
      ? [["validation", "", "estimated metric, with a 90% band"]] : []),
    ["gray", "", "current range"], ["range", "box", "next range"]];
  for (const [name, kind, text] of keys) {
    const key = make("span", { className: `key ${kind}`, "aria-hidden": "true" });
    key.style[kind ? "background" : "borderColor"] = `var(--${name})`;
    document.getElementById("slices-note").append(make("span", { className: "keyed" }, key, text));
  }
  for (const axis of hyperparameters) {
    const { move } = axis.described;
    const chart = make("div", { className: "chart", role: "img" });
    const said = move
      ? `${move.kind}: ${move.old}${move.kind === "kept" ? "" : ` → ${move.new}`}; ${move.reason}` +
        (move.p_value === null ? "" : ` (p = ${plain(move.p_value)})`)
      : "not searched in the last round";
    document.getElementById("slices").append(
      make("div", {}, make("h3", {}, axis.label), make("p", {}, said), chart));
    addChart(chart, `${study.metric} by ${axis.label}. ${said}`, () => drawSlice(axis));
  }
}

// What the marks of trials mean, those that are there.
function marksNote() {
  const there = (state) => study.summary.states[state] > 0;
  const hollow = ["pruned", "stopped", "infeasible"].filter(there);
  const marks = [
    hollow.length ? `hollow: ${hollow.join(" or ")}` : "",
    there("diverged") ? "×: diverged" : "",
    there("failed") ? "+: failed" : "",
    recommended >= 0 ? "circled: the recommended trial" : "",
  ];
  return ["Each dot is a trial", ...marks.filter(Boolean)].join("; ") + ".";
}

drawSummary();
beginBar();
drawRounds();
document.getElementById("history-note").textContent = marksNote();
addChart(document.getElementById("history"),
  `${study.metric} of ${counted(trials.length, "trial")} in order, with the best value so far`, drawHistory);
addChart(document.getElementById("shares"),
  "For each round, the share of complete trials at or below each value", drawShares);
parallel.begin();
beginLimits();
drawImportance();
beginSlices();
if (study.surface) document.getElementById("plane-note").textContent =
  "Estimated metric; stronger color is better. All other hyperparameters are kept, as above. " +
  "Dashed: current ranges; blue: next ranges.";
plane.begin();

const curvesNote = document.getElementById("curves-note");
if (trials.some((trial) => trial.epochs > 1)) {
  curvesNote.textContent = `${study.metric} by epoch for the trials selected above, with a dot at ` +
    "the end of each; bold: the picked trial, or else the recommended one." +
    (study.curves.stride > 1
      ? ` Only every ${study.curves.stride}th epoch and the last one are drawn.` : "");
  addChart(document.getElementById("curves"), "Learning curves of the selected trials", drawCurves);
} else {
  curvesNote.textContent = trials.some((trial) => trial.epochs > 0)
    ? "No trial has more than one epoch, so there are no curves."
    : "No trial has finished an epoch yet.";
  document.getElementById("curves").remove();
}
if (trials.some((trial) => trial.started !== null)) {
  document.getElementById("timeline-note").textContent =
    "Each row is a worker, each bar a trial; gaps are idle time.";
  addChart(document.getElementById("timeline"), "When and where each trial ran", drawTimeline);
} else {
  document.getElementById("timeline-note").textContent = "The record does not say when trials ran.";
  document.getElementById("timeline").remove();
}
table.begin();
document.documentElement.dataset.ready = "true";
