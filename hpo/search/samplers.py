"""The samplers by their names in a study file."""

from collections.abc import Callable

from hpo.search.by_number import GridSampler, QMCSampler, RandomSampler
from hpo.search.round_plan import RoundPlan, Sampler
from hpo.search.tpe import TPESampler

SAMPLERS: dict[str, Callable[[RoundPlan], Sampler]] = {
    "random": RandomSampler,
    "tpe": TPESampler,
    "grid": GridSampler,
    "qmc": QMCSampler,
}
