"""Study files that are right, and how tests read them."""

from pathlib import Path

from hpo.study import StudyFile, read

# An objective with every kind of hyperparameter; it costs nothing to import.
OBJECTIVE = '''
from collections.abc import Generator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Hyperparameters:
    rate: float = 0.1
    rate_end: float = 0.01
    units: int = 10
    deep: bool = False
    kind: Literal["plain", "fancy", "odd"] = "plain"
    sizes: tuple[int, ...] = (100,)
    bound: float | None = None
    label: str = ""
    दरी: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.rate < 1000:
            raise ValueError(f"rate must lie in (0, 1000), not {self.rate}")
        if self.label == "refused":
            raise ValueError("label must be another one")
        if 0 in self.sizes:
            raise ValueError("sizes must not hold 0")
        1 / (self.units - 13)


class Odd:
    pass


@dataclass(frozen=True)
class Needy:
    rate: float
    width: float = 1.0
    odd: Odd | None = None


def train(hyperparameters: Hyperparameters, data: object = None, *, seed: int) -> Generator[dict]:
    yield {"validation_loss": hyperparameters.rate, "validation_accuracy": 0.5}


def needy(hyperparameters: Needy, data: object = None, *, seed: int) -> Generator[dict]:
    yield {"validation_loss": hyperparameters.rate}


def hungry(hyperparameters: Hyperparameters, data: object, *, seed: int) -> Generator[dict]:
    yield {"validation_loss": 1.0}


def dataless(hyperparameters: Hyperparameters, *, seed: int) -> Generator[dict]:
    yield {"validation_loss": 1.0}


def wrong(hyperparameters: Hyperparameters, data: object = None, *, seed: int) -> Generator[dict]:
    yield {}


number, wrong.metrics = 3, ()
train.metrics = {
    "classification": ("validation_loss", "validation_accuracy"),
    "regression": ("validation_loss", "validation_r2"),
}
needy.metrics = hungry.metrics = dataless.metrics = ("validation_loss",)


def ranking(hyperparameters: Hyperparameters, data: object = None, *, seed: int) -> Generator[dict]:
    yield {"validation_loss": hyperparameters.rate, "MAP@5": 0.5}


ranking.metrics = ("validation_loss", "MAP@5")
'''
HEAD = 'objective = "objectives_of_test_study:train"\nmetric = "validation_loss"\n'
HEAD += 'direction = "minimize"\n'
SPACE = "[search_space]\nrate = { low = 1e-3, high = 1.0, log = true }\n"
GOOD = HEAD + SPACE


def parse(folder: Path, text: str | bytes, name: str = "study.toml") -> StudyFile:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read(path)


def searched(rows: str) -> str:
    return f"{HEAD}[search_space]\n{rows}\n"


def quoted(text: str) -> str:
    """Return `text` as TOML quotes it."""
    escaped = (
        c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08x}"
        for c in text
        if not 0xD800 <= ord(c) < 0xE000
    )
    return f'"{"".join(escaped)}"'
