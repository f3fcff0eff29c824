"""Seconds per training step of the trainer, side by side with PyTorch and scikit-learn.

All in one process on one thread, in turns, so that whatever else the machine does falls on all
alike; each figure is a median. Peers that are not installed are left out. With `--kernel`, all
use the code that they have for a CPU with AVX2 or with AVX-512 (which this one must have).

    python benchmarks/training.py [--rounds 40] [--kernel Haswell|SkylakeX] [--json]
"""

import os
import sys

KERNELS = {  # variables of OpenBLAS, PyTorch, and what PyTorch calls
    "Haswell": {
        "OPENBLAS_CORETYPE": "Haswell", "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX2",
    },
    "SkylakeX": {"OPENBLAS_CORETYPE": "SkylakeX", "ATEN_CPU_CAPABILITY": "avx512"},
}
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"  # read when numpy, torch and scikit-learn are imported
# Otherwise each library is to pick its own code for this CPU.
for _name in KERNELS["Haswell"]:
    os.environ.pop(_name, None)
if "--kernel" in sys.argv[:-1]:
    os.environ.update(KERNELS.get(sys.argv[sys.argv.index("--kernel") + 1], {}))

# ruff: noqa: E402
import argparse
import importlib.util
import json
import math
import statistics
import subprocess
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
from threadpoolctl import threadpool_info

sys.path.insert(0, str(Path(__file__).parents[1]))
from trainer.layers.layer import Layer
from trainer.losses import LOSSES
from trainer.networks import Network
from trainer.objectives import (
    ConvolutionalHyperparameters,
    PerceptronHyperparameters,
    convolutional,
    convolutional_layers,
    perceptron,
    perceptron_layers,
)
from trainer.optimizers import SGD, Adam
from trainer.training import Training

CLASSES = 10
SIDE = 1024  # of the matrices that the peak is measured with
Epoch: TypeAlias = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """A network and how it is trained."""

    name: str
    batches: int  # in an epoch, of different rows: enough for some ten milliseconds
    batch_size: int
    features: int
    hidden_sizes: tuple[int, ...]
    convolutional: bool = False
    batch_normalization: bool = False
    dropout: bool = False
    adam: bool = False


DEEP = (100, 100, 100, 100, 100)
NETS = [
    Case("64-50-10", 400, 32, 64, (50,)),
    Case("64-50-10, Adam", 400, 32, 64, (50,), adam=True),  # the default of scikit-learn
    Case("64-50-10, all", 400, 32, 64, (50,), batch_normalization=True, dropout=True, adam=True),
    Case("784-100x5-10", 25, 100, 784, DEEP),
    Case("784-50-10", 60, 100, 784, (50,)),
    Case("CNN", 2, 100, 784, (128,), convolutional=True, dropout=True),
]
PLAIN = NETS[3]
TECHNIQUES = [
    Case("batch normalization", 25, 100, 784, DEEP, batch_normalization=True),
    Case("dropout", 25, 100, 784, DEEP, dropout=True),
    Case("Adam", 25, 100, 784, DEEP, adam=True),
]


def rows(case: Case) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    inputs = random.random((case.batch_size * case.batches, case.features), dtype=np.float32)
    return inputs, random.integers(0, CLASSES, len(inputs))


def layers(case: Case) -> list[Layer]:
    choices: dict[str, Any] = {
        "batch_normalization": "before" if case.batch_normalization else "none",
        "dropout_rate": 0.4 if case.dropout else 0.0,
        "hidden_sizes": case.hidden_sizes,
    }
    if case.convolutional:
        return convolutional_layers(ConvolutionalHyperparameters(**choices), CLASSES)
    return perceptron_layers(PerceptronHyperparameters(**choices), CLASSES)


def ours(case: Case) -> Epoch:
    inputs, targets = rows(case)
    shape = (28, 28, 1) if case.convolutional else (case.features,)
    network = Network(layers(case), shape)
    network.initialize(np.random.default_rng(0))
    training = Training(
        network,
        LOSSES["cross_entropy"],
        [Adam() if case.adam else SGD()],
        (network.rows(inputs), targets),
        case.batch_size,
        (np.random.default_rng(1), np.random.default_rng(2)),
    )
    return lambda: training.epoch(0.001)


def pytorch(case: Case, channels_last: bool = False) -> Epoch:
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    nn = torch.nn
    modules: list[Any] = []
    width = case.features
    if case.convolutional:  # pooling before ReLU, as ours and faster than the other way round
        modules += [nn.Conv2d(1, 32, 3), nn.MaxPool2d(2), nn.ReLU()]
        modules += [nn.Conv2d(32, 64, 3), nn.ReLU(), nn.AvgPool2d(2)]
        modules += [nn.Conv2d(64, 128, 3), nn.ReLU(), nn.Flatten()]
        width = 1152
    for units in case.hidden_sizes:
        modules.append(nn.Linear(width, units))
        if case.batch_normalization:
            modules.append(nn.BatchNorm1d(units))
        modules.append(nn.ReLU())
        if case.dropout:
            modules.append(nn.Dropout(0.4))
        width = units
    network = nn.Sequential(*modules, nn.Linear(width, CLASSES))
    inputs, targets = (torch.from_numpy(array) for array in rows(case))
    if case.convolutional:
        inputs = inputs.reshape(-1, 1, 28, 28)
    if channels_last:
        network = network.to(memory_format=torch.channels_last)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
    kind = torch.optim.Adam if case.adam else torch.optim.SGD
    optimizer, loss = kind(network.parameters(), lr=0.001), nn.CrossEntropyLoss()

    def epoch() -> None:
        for index in torch.randperm(len(inputs)).split(case.batch_size):
            optimizer.zero_grad()
            loss(network(inputs[index]), targets[index]).backward()
            optimizer.step()

    return epoch


def scikit_learn(case: Case) -> Epoch:
    from sklearn.neural_network import MLPClassifier

    inputs, targets = rows(case)
    classifier = MLPClassifier(
        case.hidden_sizes,
        solver="adam" if case.adam else "sgd",
        momentum=0.0,
        alpha=0.0,
        learning_rate_init=0.001,
        batch_size=case.batch_size,
    )
    classifier.partial_fit(inputs, targets, classes=np.arange(CLASSES))
    return lambda: classifier.partial_fit(inputs, targets)


def sgemm() -> Epoch:
    left, right, out = np.random.default_rng(0).random((3, SIDE, SIDE), dtype=np.float32)
    return lambda: np.matmul(left, right, out=out)


def flops(case: Case) -> float:
    """Return the floating-point operations of a step: forward, and twice as many backward."""
    network = Network(layers(case), (28, 28, 1) if case.convolutional else (case.features,))
    total, first = 0, True
    for layer, before, after in zip(
        network.layers, network.shapes[:-1], network.shapes[1:], strict=True
    ):
        weights = [math.prod(p.shape) for p in layer.parameters(before) if p.kind == "weight"]
        if weights:
            stops = math.prod(after) // after[-1]
            # The first layer passes no gradient on.
            total += (2 if first else 3) * 2 * case.batch_size * stops * weights[0]
            first = False
    return float(total)


def in_turns(epochs: dict[Any, Epoch], rounds: int) -> dict[Any, float]:
    """Return the median seconds of each, after one run to warm up."""
    seconds: dict[Any, list[float]] = {name: [] for name in epochs}
    for epoch in epochs.values():
        epoch()
    for _ in range(rounds):
        for name, epoch in epochs.items():
            start = time.perf_counter()
            epoch()
            seconds[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in seconds.items()}


def peers() -> tuple[dict[str, Callable[[Case], Epoch]], list[str]]:
    """Return what can be measured, and a note for each peer that cannot."""
    found: dict[str, Callable[[Case], Epoch]] = {"ours": ours}
    notes = []
    for name, module, build in (
        ("torch", "torch", pytorch),
        ("sklearn", "sklearn", scikit_learn),
    ):
        if importlib.util.find_spec(module):
            found[name] = build
        else:
            notes.append(f"{module} is not installed: left out")
    return found, notes


def measure(rounds: int) -> dict[str, Any]:
    builds, notes = peers()
    nets = []
    for case in NETS:
        epochs: dict[str, Epoch] = {}
        for name, build in builds.items():
            if name != "sklearn" or not (case.convolutional or case.batch_normalization):
                epochs[name] = build(case)
        if "torch" in builds and case.convolutional:
            epochs["torch, channels last"] = pytorch(case, channels_last=True)
        epochs["sgemm"] = sgemm()
        seconds = in_turns(epochs, rounds)
        peak = 2 * SIDE**3 / seconds.pop("sgemm")
        step = {name: value / case.batches for name, value in seconds.items()}
        nets.append(
            {
                "net": case.name,
                "batch": case.batch_size,
                "microseconds": {name: round(1e6 * value, 1) for name, value in step.items()},
                "ratio": {n: round(v / step["ours"], 2) for n, v in step.items() if n != "ours"},
                "share_of_sgemm_peak": round(flops(case) / step["ours"] / peak, 3),
            }
        )
    builds.pop("sklearn", None)
    cases = [PLAIN, *TECHNIQUES]
    seconds = in_turns(
        {(name, case): build(case) for name, build in builds.items() for case in cases}, rounds
    )
    techniques = [
        {
            "technique": case.name,
            "extra_microseconds": {
                name: round(1e6 * (seconds[name, case] - seconds[name, PLAIN]) / PLAIN.batches, 1)
                for name in builds
            },
        }
        for case in TECHNIQUES
    ]
    memory = [{"net": case.name, "megabytes": megabytes(case)} for case in (PLAIN, NETS[-1])]
    found = (b for b in threadpool_info() if b["internal_api"] == "openblas")
    return {
        "blas": next((blas["architecture"] for blas in found), "unknown"),
        "nets": nets,
        "techniques": techniques,
        "memory": memory,
        "notes": notes,
    }


def megabytes(case: Case) -> int:
    """Return the peak memory of a process that trains on MNIST's 48,000 rows, without these."""
    answer = subprocess.run(
        [sys.executable, __file__, "--memory-of", case.name], capture_output=True, check=True
    )
    return int(answer.stdout)


def train_mnist(case: Case) -> int:
    """Train for an epoch as a worker does; return the peak of megabytes besides the rows."""
    random = np.random.default_rng(0)

    def part(count: int) -> SimpleNamespace:
        inputs = random.random((count, 28, 28), dtype=np.float32)
        return SimpleNamespace(inputs=inputs, targets=random.integers(0, CLASSES, count))

    data = SimpleNamespace(
        training=part(48_000),
        validation=part(12_000),
        task="classification",
        classes=tuple("0123456789"),
        target_scale=1.0,
    )
    if case.convolutional:
        epochs = convolutional(ConvolutionalHyperparameters(epochs=1), data, seed=0)
    else:
        hyperparameters = PerceptronHyperparameters(epochs=1, hidden_sizes=case.hidden_sizes)
        epochs = perceptron(hyperparameters, data, seed=0)
    list(epochs)
    arrays: int = sum(p.inputs.nbytes + p.targets.nbytes for p in (data.training, data.validation))
    # Not ru_maxrss, which a process inherits from the one that started it.
    status = Path("/proc/self/status").read_text()
    peak = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return round((int(peak.split()[1]) * 1024 - arrays) / 1e6)


def show(results: dict[str, Any]) -> None:
    print(f"One training step, one thread, OpenBLAS for {results['blas']}")
    print("Ratios: their time / ours")
    print(f"{'net':15}{'batch':>6}{'ours us':>10}{'torch':>8}{'sklearn':>9}{'of sgemm peak':>15}")
    for row in results["nets"]:
        ratio = {name: f"{value:.1f}x" for name, value in row["ratio"].items()}
        print(
            f"{row['net']:15}{row['batch']:6}{row['microseconds']['ours']:10,.1f}"
            f"{ratio.get('torch', '-'):>8}{ratio.get('sklearn', '-'):>9}"
            f"{row['share_of_sgemm_peak']:15.0%}"
        )
        if "torch, channels last" in ratio:
            print(f"{'  (PyTorch with channels last: ' + ratio['torch, channels last'] + ')'}")
    print(f"\nWhat a technique adds to a step of {PLAIN.name}, microseconds")
    print(f"{'':21}{'ours':>10}{'torch':>10}")
    for row in results["techniques"]:
        extra = row["extra_microseconds"]
        theirs = f"{extra['torch']:10,.1f}" if "torch" in extra else f"{'-':>10}"
        print(f"{row['technique']:21}{extra['ours']:10,.1f}{theirs}")
    print("\nMemory of a process that trains on MNIST, besides the rows, at its peak")
    for row in results["memory"]:
        print(f"{row['net']:21}{row['megabytes']:7} MB")
    for note in results["notes"]:
        print(note)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=25, help="runs of each, in turns")
    parser.add_argument("--json", action="store_true", help="print the same as JSON")
    parser.add_argument("--kernel", choices=KERNELS, help="code for another CPU")
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    if arguments.memory_of:
        print(train_mnist(next(case for case in NETS if case.name == arguments.memory_of)))
        return
    results = measure(arguments.rounds)
    if arguments.json:
        print(json.dumps(results, indent=2))
    else:
        show(results)


if __name__ == "__main__":
    main()
