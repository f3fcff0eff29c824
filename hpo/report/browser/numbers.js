// Numbers as the other reports write them: four significant digits.

function fourDigits(value) {
  if (value === 0) return "0";
  if (!Number.isFinite(value)) return "";
  const [, sign, power] = value.toExponential(3).match(/e([+-])(\d+)/);
  const exponent = Number(sign + power);
  if (exponent >= -4 && exponent <= 5) return value.toFixed(Math.max(3 - exponent, 0));
  return value.toExponential(3).replace(/e.*/, "e" + sign + power.padStart(2, "0"));
}

// A number that stands by itself has no zeros at its end.
function plain(value) {
  if (Number.isInteger(value) && Math.abs(value) < 1e6) return String(value);
  const [digits, power] = fourDigits(value).split("e");
  const short = digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits;
  return power === undefined ? short : `${short}e${power}`;
}

function counted(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}

function duration(seconds) {
  if (seconds < 120) return `${plain(seconds)} s`;
  if (seconds < 7200) return `${plain(seconds / 60)} min`;
  return `${plain(seconds / 3600)} h`;
}

// Round numbers from low to high, about so many: powers of ten on a logarithmic scale.
function ticks(low, high, log, about) {
  if (log) {
    const first = Math.ceil(Math.log10(low) - 1e-9), last = Math.floor(Math.log10(high) + 1e-9);
    if (last - first >= 2) {
      const stride = Math.ceil((last - first + 1) / about);
      const found = [];
      for (let power = last; power >= first; power -= stride) found.push(Number(`1e${power}`));
      return found.reverse();
    }
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= last; power++)
      for (const digit of [1, 2, 5]) {
        const tick = Number(`${digit}e${power}`);
        if (tick >= low && tick <= high) found.push(tick);
      }
    if (found.length > 1) return found;
  }
  const rough = (high - low) / about;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * unit).find((size) => size >= rough * 0.999);
  const found = [];
  for (let at = Math.ceil(low / step); at * step <= high; at++) {
    found.push(Number((at * step).toPrecision(12)));
  }
  return found;
}
