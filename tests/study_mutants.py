"""Study files with a few things changed at random: characters, values, keys, tables, bytes."""

import re
from collections.abc import Callable
from random import Random

# A file with every table and every kind of range.
WHOLE = """\
name = "whole"
objective = "trainer.objectives:perceptron"
metric = "validation_accuracy"
direction = "maximize"
value = "best"
seed = 7
rounds = 3

[data]
source = "digits"
validation = 0.2
rows = 500
task = "classification"

[fixed]
hidden_sizes = [100, 100]
epochs = 50

[search_space]
learning_rate = { low = 1e-6, high = 1e-2, log = true, limits = [1e-8, 10.0] }
dropout_rate = { low = 0.0, high = 0.5, step = 0.1 }
batch_size = { low = 16, high = 128, log = true }
early_stopping = { low = 2, high = 8, step = 2, limits = [2, 16] }
optimizer = { choices = ["sgd", "adam"] }

[search_space.weight_decay]
low = 1e-8
high = 1e-4
log = true

[round]
trials = 40
sampler = "tpe"
pruner = { name = "median", startup_trials = 3, warmup_epochs = 2, interval = 1 }
parallel = 4
trial_timeout = 600.0
max_failures = 5

[budget]
hours = 2
target = 0.99
patience = 50

[[start]]
learning_rate = 1e-3
optimizer = "adam"

[[start]]
batch_size = 32

[resources]
cpus = 1

[confirm]
top = 5
repeats = 3
resplit = true
"""
VALUES = [
    "0", "1", "-1", "2", "1.5", "-0.0", "1e-320", "5e-324", "1e308", "-1e308", "1e999", "nan",
    "-nan", "inf", "-inf", "9007199254740993", "9223372036854775808", "1" + "0" * 400,
    "9" * 5000, "0x7f", "0o17", "0b1", "1_000", "true", "false", '""', '" "', "''", '"sgd"',
    '"tpe"', '"median"', '"none"', '"minimize"', '"last"', '"os:path"', '"a.b:c"', '"x:"', '":"',
    '"\\u0000"', '"\\u001b[2J"', '"\\n"', '"\\u2028"', '"한국어"', '"\\U0001F600"', '"é"',
    '"' + "x" * 100_000 + '"', '"""a\nb"""', "'''\n'''", "1979-05-27", "07:32:00",
    "1979-05-27T07:32:00Z", "1979-05-27T07:32:00.999999", "[]", "[[]]", "[1, 2]", "[1, 'a']",
    "[1e-3, 1e-2]", "[inf, nan]", "[" * 40 + "]" * 40, "[" * 3000 + "]" * 3000,
    "[" + "1, " * 20_000 + "]", "{}", "{ low = 1, high = 2 }", "{ low = 2, high = 1 }",
    "{ low = 0.0, high = 1.0, log = true }", "{ low = 1, high = 1.0000000000000002 }",
    "{ low = 1, high = 2, step = 1e-300 }", "{ low = 1, high = 8, step = 3 }",
    "{ low = -1e308, high = 1e308 }", "{ choices = [] }", "{ choices = [nan, nan] }",
    "{ choices = [1, 1.0, true] }", "{ choices = [[1], [2, 3]] }", '{ choices = ["a", "a"] }',
    "{ choices = [{}, 1979-05-27] }", "{ a.b.c = 1 }", "{ name = 'median' }", "{ name = 3 }",
    "{ name = 'none', interval = 1 }", "{ name = 'percentile', percentile = nan }",
    "{ low = 1, high = 2, limits = [3, 1] }", "{ low = 1, high = 2, limits = [inf] }",
]
KEYS = [
    "low", "high", "log", "step", "limits", "choices", "name", "path", "text", "seed", "trials",
    "parallel", "pruner", "source", "rows", "test", "validation", "target", "task", "drop",
    "epochs", "learning_rate", "hidden_sizes", "optimizer", "a.b", "a.b.c", '""', '"a b"', "''",
    '"\\u0000"', '"\\u001b"', '"\\n"', '"한"', "x" * 3000, "low.high", "__class__", "model_config",
]
HEADERS = [
    "[data]", "[fixed]", "[search_space]", "[round]", "[budget]", "[start]", "[[start]]",
    "[resources]", "[confirm]", "[[confirm]]", "[[round]]", "[[data]]", "[search_space.optimizer]",
    "[[search_space.optimizer]]", "[round.pruner]", "[[round.pruner]]", "[fixed.a.b]", "[path]",
    "[name]", "[a.b.c]", '[""]', "[start.x]", "[[start.x]]", "[search_space.learning_rate.low]",
]
CHARACTERS = [
    *"[]{}=.,#\"'\\\n\r\t -+_:0e", "\0", "\x1b[2J", "\x7f", "\u2028", "\ufeff", "한", '"""', "é",
    "\U0001f600", "\u202e",
]


def mutant(text: str, random: Random) -> bytes:
    """Return the text with one to four changes."""
    for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
        text = random.choice(CHANGES)(text, random)
    content = text.encode("utf-8", "surrogatepass")
    if random.random() < 0.03:
        place = random.randrange(len(content) + 1)
        content = content[:place] + bytes(random.randrange(256) for _ in range(3)) + content[place:]
    return content


def _characters(text: str, random: Random) -> str:
    place, length = random.randrange(len(text) + 1), random.choice((0, 0, 1, 2, 10))
    inside = random.choice(CHARACTERS) if random.random() < 0.8 else ""
    return text[:place] + inside + text[place + length :]


def _value(text: str, random: Random) -> str:
    """Replace what stands after some equals sign."""
    places = list(re.finditer(r"= ?(\"[^\"\n]*\"|\[[^\]\n]*\]|[\w.+-]+)", text))
    if not places:
        return text
    place = random.choice(places)
    return text[: place.start(1)] + random.choice(VALUES) + text[place.end(1) :]


def _row(text: str, random: Random) -> str:
    """Replace all that stands after the equals sign of a line."""
    places = list(re.finditer(r"^[^=\n]+=(.*)$", text, re.M))
    if not places:
        return text
    place = random.choice(places)
    return text[: place.start(1)] + " " + random.choice(VALUES) + text[place.end(1) :]


def _key(text: str, random: Random) -> str:
    places = list(re.finditer(r"\b[\w.]{1,80}(?= ?=)", text))
    if not places:
        return text
    place = random.choice(places)
    key = random.choice(KEYS) if random.random() < 0.6 else random.choice(places)[0]
    return text[: place.start()] + key + text[place.end() :]


def _misspelled(text: str, random: Random) -> str:
    places = list(re.finditer(r"\w{3,}", text))
    if not places:
        return text
    at = random.choice(places).start() + 1
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def _lines(text: str, random: Random) -> str:
    """Drop, double, move or swap lines; double one very often."""
    lines = text.splitlines(keepends=True)
    if len(lines) < 2:
        return text
    first, second = random.randrange(len(lines)), random.randrange(len(lines))
    kind = random.randrange(5)
    if kind == 0:
        del lines[first]
    elif kind == 1:
        lines.insert(second, lines[first])
    elif kind == 2:
        lines.insert(second, lines.pop(first))
    elif kind == 3:
        lines[first], lines[second] = lines[second], lines[first]
    else:
        lines[first] *= 2000
    return "".join(lines)


def _header(text: str, random: Random) -> str:
    """Change, double or add the header of a table."""
    places = list(re.finditer(r"^\[.*\]$", text, re.M))
    header = random.choice(HEADERS)
    if not places or random.random() < 0.3:
        row = f"{random.choice(KEYS)} = {random.choice(VALUES)}"
        return f"{text}\n{header}\n{row}\n"
    place = random.choice(places)
    return text[: place.start()] + header + text[place.end() :]


def _added(text: str, random: Random) -> str:
    """Add a row somewhere."""
    lines = text.splitlines(keepends=True)
    row = f"{random.choice(KEYS)} = {random.choice(VALUES)}\n"
    lines.insert(random.randrange(len(lines) + 1), row)
    return "".join(lines)


def _cut(text: str, random: Random) -> str:
    place = random.randrange(len(text) + 1)
    return text[:place] if random.random() < 0.5 else text[place:]


CHANGES: list[Callable[[str, Random], str]] = [
    _characters, _characters, _value, _value, _value, _row, _row, _key, _misspelled, _lines,
    _header, _added, _cut,
]
