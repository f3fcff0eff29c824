"""What a terminal shows: trials to show there, terminals of any width, and what they print."""

import io

from rich.console import Console

from hpo.display import console
from hpo.distributions import Value
from hpo.trial import State, Trial, TrialResult

WIDTHS = (30, 40, 60, 80, 120, 200, console.PIPE_WIDTH)
LONG = "a_name_that_goes_on_and_on_until_nobody_wants_to_read_it_any_more"
CHOICE = "a long choice of an activation with a parameter of its own, such as 3.478e-05"


class Terminal(io.StringIO):
    """A file that is a terminal; COLUMNS says how wide."""

    def isatty(self) -> bool:
        return True


def printed(width: int, *parts: object) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, highlight=False)
    for part in parts:
        console.print(part)
    return file.getvalue()


def trials(count: int) -> list[TrialResult]:
    """Return ten trials with so many hyperparameters, the last two a long name and long choices."""
    results = []
    for number in range(101, 111):
        values: dict[str, Value] = {
            f"rate_{i}": (number - 100) * 1.2345e-5 * 7**i % 1 for i in range(count - 2)
        }
        if count > 2:
            values |= {LONG: number * 3.4567e-5, "activation": (CHOICE, "relu")[number % 2]}
        else:
            values |= {"momentum": 0.9 + number * 1e-5, "nesterov": number % 2 == 0}
        results.append(
            TrialResult(Trial(1, number, values, 1), State.COMPLETE, number * 1.2345e-9, 3)
        )
    return results
