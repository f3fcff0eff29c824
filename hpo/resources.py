"""Compare the resources that one trial needs with those of a machine."""

import math
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hpo import wording
from hpo.errors import InputError
from hpo.text import shortened

MOST = 1_000_000  # CPUs, GPUs or others: far more than a machine has, and few enough to count
MOST_BYTES = 10**18
SMALLEST = 0.0001  # part of a GPU, or of another one, that Ray tells from none
_UNITS = {"": 1, "B": 1} | {
    f"{prefix}{ending}": base**power
    for power, prefix in enumerate("KMGT", start=1)
    for ending, base in (("B", 1000), ("iB", 1024))
}
_BYTES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


def parse_bytes(text: str) -> int:
    """Return the bytes in a text such as "4GB" or "512 MiB"; raise ValueError for others."""
    match = _BYTES.fullmatch(text)
    units = {name.upper(): size for name, size in _UNITS.items()}
    size = float(match[1]) * units.get(match[2].upper(), 0) if match else 0
    if not 1 <= size <= MOST_BYTES:
        raise ValueError(
            f"{shortened(text, 60)!r} is not an amount of memory; write it like "
            '"4GB" or "512MB"'
        )
    return int(size)


def part_fault(amount: float) -> str:
    """Return what is wrong with an amount that may be a fraction, or ""."""
    if amount > MOST:
        return f"must be at most {MOST}, got {wording.whole(amount)}"
    if abs(round(amount, 4) - amount) > 1e-12 or 0 < amount < SMALLEST:
        return (
            f"must be a multiple of {SMALLEST}, the smallest fraction that Ray supports, got "
            f"{wording.whole(amount)}"
        )
    return ""


@dataclass(frozen=True)
class Demand:
    """The CPUs, GPUs, bytes of memory, and custom resources of a cluster that a trial needs."""

    cpus: int = 1
    gpus: float = 0.0
    memory: int = 0
    custom: tuple[tuple[str, float], ...] = ()

    def by_name(self) -> dict[str, float]:
        """Return the amounts by their names in Ray."""
        amounts = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory, **dict(self.custom)}
        return {name: amount for name, amount in amounts.items() if amount}

    def fits(self, machine: Mapping[str, float]) -> int:
        """Return how many trials a machine with these amounts can run at once."""
        return min(self._rooms(machine).values())

    def lacking(self, machines: Iterable[Mapping[str, float]]) -> str:
        """Return the key of a study file that asks for more than any one machine has, or ""."""
        rooms = [self._rooms(machine) for machine in machines]
        for name in self.by_name():
            if not any(room[name] for room in rooms):
                own = {"CPU": "cpus", "GPU": "gpus", "memory": "memory"}
                return f"resources.{own.get(name) or f'custom.{name}'}"
        return ""

    def _rooms(self, machine: Mapping[str, float]) -> dict[str, int]:
        """Return how many trials each of the amounts of a machine is enough for."""
        rooms = {}
        for name, amount in self.by_name().items():
            there = machine.get(name, 0.0)
            if name == "GPU" and amount < 1:  # a part is one of a single GPU
                rooms[name] = math.floor(there) * math.floor(1 / amount + 1e-9)
            else:
                rooms[name] = math.floor(there / amount + 1e-9)
        return rooms

    def __str__(self) -> str:
        parts = [wording.count(self.cpus, "CPU")]
        if self.gpus:
            number = wording.whole(self.gpus)
            parts.append(f"{number} GPU" if self.gpus <= 1 else f"{number} GPUs")
        if self.memory:
            parts.append(f"{wording.number(self.memory / 1e9)} GB of memory")
        parts += [f"{wording.whole(amount)} {name}" for name, amount in self.custom]
        return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


class NotHere(InputError):
    """A trial needs what is not here; the message starts with the key of the study file."""


def refuse_absent(demand: Demand, machine: Mapping[str, float], who: str) -> None:
    """Raise NotHere if a machine, called `who`, cannot run a single trial."""
    key = demand.lacking([machine])
    if key:
        raise NotHere(
            f"{key}: a trial needs {demand}, which {who} does not have; ask for less, or use "
            "--ray-address with a Ray cluster that has it"
        )


def cpus() -> int:
    """Return how many CPUs this process may use: Slurm and containers may limit them."""
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def this_machine() -> dict[str, float]:
    """Return the resources of this machine, by their names in Ray.

    GPUs are those of NVIDIA, limited by CUDA_VISIBLE_DEVICES if it is set.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = [path for path in Path("/dev").glob("nvidia*") if path.name[6:].isdigit()]
    gpus = len(devices)
    if chosen is not None:
        gpus = min(gpus, len([name for name in chosen.split(",") if name.strip()]))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"CPU": float(cpus()), "GPU": float(gpus), "memory": float(memory)}
