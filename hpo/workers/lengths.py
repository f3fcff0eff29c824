"""How long a trial is trained: whether it keeps to its epochs, and the note on an extended one."""

from collections.abc import Mapping

from hpo.distributions import Value
from hpo.objective import Objective
from hpo.trial import EPOCHS, Trial


def is_too_long(
    objective: Objective, fixed: Mapping[str, Value], trial: Trial, epoch: int
) -> bool:
    """Return whether a trial has more epochs than its hyperparameters ask for."""
    parameter = objective.parameters.get(EPOCHS)
    default = parameter.default if parameter is not None else None
    length = trial.values(fixed).get(EPOCHS, default)
    return isinstance(length, int | float) and epoch > length


def described(
    objective: Objective, fixed: Mapping[str, Value], trial: Trial, begun: int
) -> str:
    """Return the note on a trial that was extended: where it resumed, and how that differs."""
    if not begun:
        return "trained from scratch"
    said, depends = f"resumed after epoch {begun}", objective.depends_on_epochs
    values = objective.taken(trial.values(fixed))
    if depends is not None:
        try:
            if not depends(values):
                return said
        except Exception as error:  # it trained well all the same
            depends = None
            said += f" (its depends_on_epochs raised {type(error).__name__})"
    scratch = f"the result differs from training from scratch for {trial.extended_to} epochs"
    if depends is None:
        return f"{said}; if a schedule spans all epochs, {scratch}"
    return f"{said}; its schedule spans all epochs, so {scratch}"
