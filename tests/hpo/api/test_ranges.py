"""A range on the command line is that of a study file, or refused in one line."""

import pytest

from hpo.api.ranges import parse_range
from hpo.distributions import (
    CategoricalDistribution,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
)
from hpo.errors import InputError

OPEN = {
    "rate": FloatDistribution(1e-3, 1.0, log=True, limits=(1e-4, 10.0)),
    "share": FloatDistribution(0.0, 1.0, step=0.1),
    "units": IntegerDistribution(1, 64, log=True),
    "even": IntegerDistribution(2, 8, step=2),
    "kind": CategoricalDistribution(("plain", "odd")),
    "sizes": CategoricalDistribution(((1, 2), (3,))),
    "deep": CategoricalDistribution((False, True)),
    "count": CategoricalDistribution((1, 2.5)),
}


@pytest.mark.parametrize(
    ("text", "distribution"),
    [
        ("rate=1e-4:2", FloatDistribution(1e-4, 2.0, log=True, limits=(1e-4, 10.0))),
        ("share=0.2:0.4", FloatDistribution(0.2, 0.4, step=0.1)),
        ("units=2:50", IntegerDistribution(2, 50, log=True)),
        ("even=0:4", IntegerDistribution(0, 4, step=2)),
        ("kind=odd", CategoricalDistribution(("odd",))),
        ("kind=odd,plain", CategoricalDistribution(("odd", "plain"))),
        ("sizes=[1, 2]", CategoricalDistribution(((1, 2),))),
        ("sizes=[3],[1,2]", CategoricalDistribution(((3,), (1, 2)))),
        ("deep=true", CategoricalDistribution((True,))),
        ("count=2.50", CategoricalDistribution((2.5,))),
    ],
)
def test_a_range_on_the_command_line(text: str, distribution: Distribution) -> None:
    assert parse_range(text, OPEN) == (text.partition("=")[0], distribution)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("rate", "NAME=LOW:HIGH"),
        ("rate=", "LOW:HIGH"),
        ("rate=1", "LOW:HIGH"),
        ("rate=1:2:3", "LOW:HIGH"),
        ("rate=a:b", "LOW:HIGH"),
        ("rate=2:1", "low = 2 must be below high = 1"),
        ("rate=0:1", "remove `log`"),
        ("rate=1:inf", "finite"),
        ("rate=nan:1", "finite"),
        ("rate=1:100", "widen the limits"),
        ("rat=1:2", "did you mean 'rate'?"),
        ("share=0.05:0.5", "change low, high, or step"),
        ("share=-1e308:1e308", "smaller range"),
        ("units=1.5:3", "LOW:HIGH"),
        ("units=1:inf", "LOW:HIGH"),
        ("even=2:5", "change low, high, or step"),
        ("kind=", "valid choices: plain, odd"),
        ("kind=even", "valid choices: plain, odd"),
        ("kind=odd,odd", "list each once"),
        ("sizes=[1]", "valid choices: [1, 2], [3]"),
    ],
)
def test_a_bad_range_on_the_command_line(text: str, remedy: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_range(text, OPEN)
    assert str(caught.value).startswith(f"--range {text}: ")
    assert remedy in str(caught.value)
