"""Hyperparameter optimization in rounds, with every trial recorded in MLflow.

Define a study with `hpo.Study`, run it, and read what is recorded with `hpo.load`:

    study = hpo.Study.read("studies/digits.toml")
    results = study.run()
    results.best()
"""

import importlib
from typing import TYPE_CHECKING, Any

from hpo.errors import HPOError, Infeasible, InputError

if TYPE_CHECKING:
    from hpo.api.asking import open_study as open  # noqa: A004  # hpo.open
    from hpo.api.overview import studies
    from hpo.api.results import load
    from hpo.api.site import Placement
    from hpo.api.study import Study
    from hpo.api.values import Choices, Range

__all__ = [
    "Choices", "HPOError", "Infeasible", "InputError", "Placement", "Range", "Study", "load",
    "open", "studies",
]
# Imported on first use, because objectives import hpo in every worker.
_LAZY = {
    "Choices": "values", "Placement": "site", "Range": "values", "Study": "study",
    "load": "results", "open": "asking", "studies": "overview",
}


if not TYPE_CHECKING:  # else a misspelled name would pass for any

    def __getattr__(name: str) -> Any:
        """Import a public name on first use."""
        if name not in _LAZY:
            raise AttributeError(f"module 'hpo' has no attribute {name!r}")
        module = importlib.import_module(f"hpo.api.{_LAZY[name]}")
        found = getattr(module, "open_study" if name == "open" else name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    """Return all public names, imported or not."""
    return sorted({*globals(), *__all__})
