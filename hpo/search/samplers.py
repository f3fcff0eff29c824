"""The samplers by their names in a study file."""

from collections.abc import Callable
from pathlib import Path

from hpo.errors import InputError
from hpo.search import gp
from hpo.search.by_number import GridSampler, QMCSampler, RandomSampler
from hpo.search.round_plan import RoundPlan, Sampler
from hpo.search.tpe import TPESampler

SAMPLERS: dict[str, Callable[[RoundPlan], Sampler]] = {
    "random": RandomSampler,
    "tpe": TPESampler,
    "gp": gp.GPSampler,
    "grid": GridSampler,
    "qmc": QMCSampler,
}


def refuse_absent(sampler: str, file: Path) -> None:
    """Raise InputError if the sampler of a study file needs a package that is not installed."""
    if sampler == "gp" and not gp.is_installed():
        raise InputError(
            f'{file}: round.sampler: "gp" needs PyTorch, which is not installed; install it with '
            "pip install torch, or choose another sampler"
        )
