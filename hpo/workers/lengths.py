"""How long a trial is trained: whether it keeps to that, and what is said where it went on."""

from collections.abc import Mapping

from hpo.distributions import Value
from hpo.objective import Objective
from hpo.trial import EPOCHS, Trial


def is_too_long(
    objective: Objective, fixed: Mapping[str, Value], trial: Trial, epoch: int
) -> bool:
    """Say whether a trial has more epochs than its hyperparameters say that it takes."""
    parameter = objective.parameters.get(EPOCHS)
    default = parameter.default if parameter is not None else None
    length = trial.values(fixed).get(EPOCHS, default)
    return isinstance(length, int | float) and epoch > length


def described(
    objective: Objective, fixed: Mapping[str, Value], trial: Trial, begun: int
) -> str:
    """Return what is said of a trial that was trained longer: from where, and what it is not."""
    if not begun:
        return "trained anew, from epoch 1"
    said, depends = f"goes on after epoch {begun}", objective.depends_on_epochs
    values = objective.taken(trial.values(fixed))
    if depends is not None:
        try:
            if not depends(values):
                return said
        except Exception as error:  # it trained well all the same
            depends = None
            said += f" (its depends_on_epochs raises {type(error).__name__})"
    scratch = f"this is not what training from scratch for {trial.extended_to} epochs gives"
    if depends is None:
        return f"{said}; where a schedule goes over all epochs, {scratch}"
    return f"{said}; its schedule goes over all epochs, so {scratch}"
