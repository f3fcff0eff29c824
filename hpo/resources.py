"""What one trial takes of a machine, and how many trials a machine has room for."""

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hpo import wording

_UNITS = {"": 1, "B": 1} | {
    f"{prefix}{ending}": base**power
    for power, prefix in enumerate("KMGT", start=1)
    for ending, base in (("B", 1000), ("iB", 1024))
}
_BYTES = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*")


def parse_bytes(text: str) -> int:
    """Return the bytes in a text such as "4GB" or "512 MiB"; raise ValueError for another."""
    match = _BYTES.fullmatch(text)
    units = {name.upper(): size for name, size in _UNITS.items()}
    size = int(float(match[1]) * units.get(match[2].upper(), 0)) if match else 0
    if size < 1:
        raise ValueError(f'{text!r} is no amount of memory; write it as "4GB" or "512MB"')
    return size


@dataclass(frozen=True)
class Demand:
    """The CPUs, GPUs, bytes of memory, and resources of a cluster's own that one trial takes."""

    cpus: int = 1
    gpus: float = 0.0
    memory: int = 0
    custom: tuple[tuple[str, float], ...] = ()

    def by_name(self) -> dict[str, float]:
        """Return the amounts by the names that Ray gives them."""
        amounts = {"CPU": self.cpus, "GPU": self.gpus, "memory": self.memory, **dict(self.custom)}
        return {name: amount for name, amount in amounts.items() if amount}

    def fits(self, machine: Mapping[str, float]) -> int:
        """Return how many trials a machine with such amounts has room for at once."""
        room = math.inf
        for name, amount in self.by_name().items():
            there = machine.get(name, 0.0)
            if name == "GPU" and amount < 1:  # a part is one of a single GPU
                room = min(room, math.floor(there) * math.floor(1 / amount + 1e-9))
            else:
                room = min(room, math.floor(there / amount + 1e-9))
        return int(room)

    def __str__(self) -> str:
        parts = [wording.count(self.cpus, "CPU")]
        if self.gpus:
            number = wording.whole(self.gpus)
            parts.append(f"{number} GPU" if self.gpus <= 1 else f"{number} GPUs")
        if self.memory:
            parts.append(f"{wording.number(self.memory / 1e9)} GB of memory")
        parts += [f"{wording.whole(amount)} {name}" for name, amount in self.custom]
        return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else parts[0]


def this_machine() -> dict[str, float]:
    """Return what this machine has, by the names that Ray gives it.

    GPUs are those of NVIDIA that CUDA_VISIBLE_DEVICES leaves, where it is set.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    devices = [path for path in Path("/dev").glob("nvidia*") if path.name[6:].isdigit()]
    gpus = len(devices)
    if chosen is not None:
        gpus = min(gpus, len([name for name in chosen.split(",") if name.strip()]))
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"CPU": float(os.cpu_count() or 1), "GPU": float(gpus), "memory": float(memory)}
