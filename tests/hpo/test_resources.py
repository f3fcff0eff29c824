"""What a trial takes, and how many a machine has room for."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.resources import Demand, parse_bytes, this_machine
from hpo.study import read
from tests.fixtures import Outcome

Make = Callable[..., Path]


@pytest.mark.parametrize(
    ("text", "size"),
    [("4GB", 4 * 10**9), ("512 MiB", 512 << 20), ("1.5kB", 1500), ("7", 7), (" 2 TiB ", 2 << 40),
     ("3gb", 3 * 10**9)],
)
def test_amounts_of_memory(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "4XB", "0", "4 G B", "1e9", "four"])
def test_what_is_no_amount_of_memory(text: str) -> None:
    with pytest.raises(ValueError, match="is not an amount of memory; write it like"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("demand", "machine", "room"),
    [
        (Demand(), {"CPU": 4.0}, 4),
        (Demand(3), {"CPU": 8.0}, 2),
        (Demand(1, 1.0), {"CPU": 8.0}, 0),
        (Demand(1, 0.5), {"CPU": 8.0, "GPU": 2.0}, 4),
        (Demand(1, 0.4), {"CPU": 8.0, "GPU": 2.0}, 4),  # two on each, though 5 x 0.4 = 2
        (Demand(1, 0.1), {"CPU": 40.0, "GPU": 1.0}, 10),
        (Demand(1, 2.0), {"CPU": 8.0, "GPU": 3.0}, 1),
        (Demand(1, 0.0, 3), {"CPU": 8.0, "memory": 10.0}, 3),
        (Demand(1, custom=(("tpu", 1.0),)), {"CPU": 8.0}, 0),
        (Demand(1, custom=(("tpu", 0.5),)), {"CPU": 8.0, "tpu": 1.0}, 2),
    ],
)
def test_room_on_a_machine(demand: Demand, machine: dict[str, float], room: int) -> None:
    assert demand.fits(machine) == room


@given(st.integers(1, 8), st.sampled_from([0.1, 0.25, 0.3, 0.5, 1.0, 2.0]), st.integers(0, 64),
       st.integers(0, 8))
def test_room_is_there_for_as_many_and_no_more(
    cpus: int, gpus: float, cpus_there: int, gpus_there: int
) -> None:
    room = Demand(cpus, gpus).fits({"CPU": cpus_there, "GPU": gpus_there})
    on_each = int(1 / gpus) if gpus < 1 else 1
    whole = gpus_there * on_each if gpus < 1 else gpus_there // int(gpus)
    assert room == min(cpus_there // cpus, whole)


def test_a_study_says_what_a_trial_takes(make_study: Make) -> None:
    table = {"cpus": 2, "gpus": 0.5, "memory": "4GB", "custom": {"tpu": 1}}
    demand = read(make_study(resources=table)).resources.demand()
    assert demand == Demand(2, 0.5, 4 * 10**9, (("tpu", 1.0),))
    assert str(demand) == "2 CPUs, 0.5 GPU, 4 GB of memory and 1 tpu"
    assert demand.by_name() == {"CPU": 2, "GPU": 0.5, "memory": 4 * 10**9, "tpu": 1.0}
    assert str(Demand()) == "1 CPU"


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({"gpus": 1.5}, "resources.gpus: must be a fraction of one GPU"),
        ({"gpus": -1}, "resources.gpus: "),
        ({"memory": "much"}, "resources.memory: 'much' is not an amount of memory"),
        ({"memory": 4}, "resources.memory: "),
        ({"custom": {"GPU": 1}}, "resources.custom.GPU: has its own key"),
        ({"custom": {"tpu": 0}}, "resources.custom.tpu: "),
        ({"custom": {'"ä"': 1}}, "resources.custom.ä: not a name that Ray accepts; use"),
        ({"custom": {'"t p\\nu"': 1}}, "resources.custom.t p u: not a name that Ray accepts"),
        ({"custom": {'" "': 1}}, 'resources.custom." ": not a name that Ray accepts; use'),
        ({"custom": {"tpu": 1e-9}}, "resources.custom.tpu: must be a multiple of 0.0001"),
        ({"custom": {"tpu": 1e300}}, "resources.custom.tpu: must be at most 1000000, got"),
        ({"custom": 3}, "resources.custom: expected a table"),
        ({"gpus": 1e-300}, "resources.gpus: must be a multiple of 0.0001"),
        ({"gpus": 1e300}, "resources.gpus: must be at most 1000000, got 1e+300"),
        ({"cpus": 2**2000}, "resources.cpus: must be at most 1000000"),
        ({"memory": "9" * 400 + "GB"}, "resources.memory: '9999"),
        ({"memory": "0.4B"}, "resources.memory: '0.4B' is not an amount of memory; write it like"),
        ({"gpu": 1}, "resources.gpu: unknown key; did you mean 'gpus'?"),
    ],
)
def test_a_wrong_demand_is_one_line(
    make_study: Make, command: Callable[..., Outcome], table: dict[str, object], said: str
) -> None:
    file = make_study(resources=table)
    checked = command("check", file)
    assert (checked.code, checked.err.count("\n")) == (2, 1)
    assert checked.err.startswith(f"hpo: {file}: {said}")


@pytest.mark.parametrize(
    ("where", "who"),
    [("--inline", "this machine"), ("--workers=1", "this machine with --workers 1")],
)
@pytest.mark.parametrize(("table", "key", "takes"), [
    ({"custom": {"tpu": 1}}, "custom.tpu", "1 CPU and 1 tpu"),
    ({"memory": "900TB"}, "memory", "1 CPU and 900000 GB of memory"),
    ({"gpus": 1000, "memory": "1GB"}, "gpus", "1 CPU, 1000 GPUs and 1 GB of memory"),
])  # fmt: skip
def test_what_is_not_here_is_refused_before_the_first_trial(
    make_study: Make,
    command: Callable[..., Outcome],
    where: str,
    who: str,
    table: dict[str, object],
    key: str,
    takes: str,
) -> None:
    file = make_study(resources=table)
    ran = command("run", file, where)
    assert (ran.code, ran.err) == (2, (
        f"hpo: {file}: resources.{key}: a trial needs {takes}, which {who} does not have; ask for "
        "less, or use --ray-address with a Ray cluster that has it\n"
    ))  # fmt: skip


def test_more_threads_than_workers_have_are_refused(
    make_study: Make, command: Callable[..., Outcome]
) -> None:
    file = make_study(resources={"cpus": 3})
    ran = command("run", file, "--workers=2")
    assert ran.code == 2
    assert ran.err.startswith(f"hpo: {file}: resources.cpus: a trial needs 3 CPUs, which this mac")


@given(
    st.integers(1, 9), st.sampled_from([0, 0.5, 1, 3]), st.integers(0, 9), st.integers(0, 2),
    st.lists(st.tuples(*4 * [st.integers(0, 9)]), min_size=1, max_size=4),
)
def test_a_key_is_named_where_no_machine_has_enough_of_it(
    cpus: int, gpus: float, memory: int, tpus: int, machines: list[tuple[int, ...]]
) -> None:
    demand = Demand(cpus, gpus, memory, (("tpu", tpus),) if tpus else ())
    there = [dict(zip(("CPU", "GPU", "memory", "tpu"), m, strict=True)) for m in machines]
    most = [max(column) for column in zip(*machines, strict=True)]
    asked = (("cpus", cpus), ("gpus", gpus), ("memory", memory), ("custom.tpu", tpus))
    too_much = [n for (n, amount), has in zip(asked, most, strict=True) if amount > has]
    assert demand.lacking(there) == (f"resources.{too_much[0]}" if too_much else "")


@pytest.mark.parametrize(
    ("visible", "gpus"), [(None, 2), ("", 0), ("0", 1), ("0,1,2", 2), ("0, ", 1)]
)
def test_gpus_of_this_machine_are_those_that_cuda_may_see(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, gpus: int
) -> None:
    names = ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm")
    monkeypatch.setattr(Path, "glob", lambda self, pattern: [self / name for name in names])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    machine = this_machine()
    assert machine["GPU"] == gpus
    assert 1e8 < machine["memory"] < 1e14


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system knows no such limit")
def test_cpus_of_this_machine_are_those_that_a_process_may_use() -> None:
    allowed = os.sched_getaffinity(0)
    assert this_machine()["CPU"] == len(allowed)
    try:
        os.sched_setaffinity(0, {min(allowed)})  # as Slurm does
        assert this_machine()["CPU"] == 1
    finally:
        os.sched_setaffinity(0, allowed)


def test_without_such_a_limit_all_cpus_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # as on macOS
    assert this_machine()["CPU"] == os.cpu_count()


def test_a_demand_is_said_in_words() -> None:
    assert str(Demand(1, 1.0)) == "1 CPU and 1 GPU"
    assert str(Demand(2, 2.0, 1_500_000_000)) == "2 CPUs, 2 GPUs and 1.5 GB of memory"
    assert str(Demand(1, custom=(("tpu", 0.5), ("x", 2.0)))) == "1 CPU, 0.5 tpu and 2 x"
    with pytest.raises(ValueError, match=r"; write it like \"4GB\" or \"512MB\"$"):
        parse_bytes("4XB")
