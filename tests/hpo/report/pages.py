"""Studies for the page: many trials, with places and times, and names from anywhere."""

from dataclasses import replace

from hpo.distributions import CategoricalDistribution, Distribution, FloatDistribution
from hpo.record.values import Recorded
from hpo.report.page_data import page_data
from hpo.service.proposals import moves_after
from hpo.trial import State
from tests.hpo.report.drawn import study

HALF_PRUNED = (State.COMPLETE, State.PRUNED)
EVIL = "</script><script>window.evil=1</script><!--\u2028<img src=x onerror=window.evil=1>"
WORKERS = 4


def many(
    trials: int, hyperparameters: int, states: tuple[State, ...] = HALF_PRUNED, epochs: int = 50
) -> Recorded:
    """Return a study of two rounds, but of one where its trials are few."""
    space: dict[str, Distribution] = {
        f"rate_{i}": FloatDistribution(1e-6, 0.1, log=True) for i in range(hyperparameters)
    }
    rounds = 2 if trials >= 20 else 1
    return timed(study([space] * rounds, trials // rounds, states=states, epochs=epochs))


def evil() -> Recorded:
    """Return a study whose every name and message would do harm where it is not escaped."""
    space: dict[str, Distribution] = {
        "rate": FloatDistribution(1e-6, 0.1, log=True),
        EVIL: CategoricalDistribution((EVIL, "$$x^2$$", "@name{x}", "sgd")),
    }
    recorded = timed(study([space, space], 12, metric=f"loss {EVIL}", states=tuple(State)))
    return replace(recorded, name=EVIL)


def timed(recorded: Recorded) -> Recorded:
    """Return a study whose trials ran on some workers, one after the other; failed ones say why."""
    free = [1.7e9] * WORKERS
    results = []
    for i, result in enumerate(recorded.results):
        worker = i % WORKERS
        seconds = 2.0 + len(result.metrics) + i % 3
        message = f"Traceback\nValueError: {EVIL}" if result.state is State.FAILED else ""
        results.append(replace(
            result, started=free[worker], seconds=seconds, place=f"host/{100 + worker}",
            message=message,
        ))
        free[worker] += seconds + 0.5
    return replace(recorded, results=results)


def data_of(recorded: Recorded) -> dict[str, object]:
    """Return the data of the page, with the ranges that would come next."""
    return page_data(recorded, moves_after(recorded))
