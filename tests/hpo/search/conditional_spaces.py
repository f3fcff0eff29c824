"""Search spaces as people have them: conditions in chains, ordered choices, refused corners."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from hypothesis import strategies as st

from hpo.distributions import (
    CategoricalDistribution,
    Distribution,
    FloatDistribution,
    IntegerDistribution,
    OrderedDistribution,
    Value,
)
from hpo.search_space import SearchSpace

KINDS: tuple[Distribution, ...] = (
    FloatDistribution(1e-5, 1e-1, log=True),
    FloatDistribution(0.0, 0.9),
    FloatDistribution(0.0, 0.5, step=0.1),
    IntegerDistribution(1, 4),
    IntegerDistribution(8, 256, log=True),
    OrderedDistribution.of((16, 32, 64, 128)),
    CategoricalDistribution(("sgd", "nesterov", "adam")),
)
Accepts = Callable[[Mapping[str, Value]], bool]


@st.composite
def conditional_spaces(draw: st.DrawFn) -> SearchSpace:
    """Draw one to six hyperparameters, some of which depend on others before or after them."""
    kinds = draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=6))
    space: dict[str, Distribution] = {}
    for index, kind in enumerate(kinds):
        when: list[tuple[str, tuple[Value, ...]]] = []
        for other, distribution in space.items():
            values = _values(distribution)
            if values and draw(st.integers(0, 2)) == 0 and len(when) < 2:
                some = draw(st.lists(st.sampled_from(values), min_size=1, unique=True))
                when.append((other, tuple(some)))
        space[f"{'abcdef'[index]}"] = replace(kind, when=tuple(when))
    if draw(st.booleans()):
        space["layers"] = IntegerDistribution(1, 3, limits=(1, 3))
        part = replace(draw(st.sampled_from(KINDS)), part_of="part")
        space |= {
            f"part.{n}": replace(part, when=(("layers", tuple(range(n, 4))),) * (n > 1))
            for n in (1, 2, 3)
        }
    names = draw(st.permutations(list(space)))
    return {name: space[name] for name in names}


def _values(distribution: Distribution) -> tuple[Value, ...]:
    """Return the values that a condition can name."""
    if isinstance(distribution, CategoricalDistribution | OrderedDistribution):
        return distribution.choices
    if isinstance(distribution, IntegerDistribution) and distribution.high < 10:
        return tuple(range(distribution.low, distribution.high + 1))
    return ()


def without_a_corner(space: SearchSpace) -> Accepts:
    """Return what refuses the points that lie high in the first two ranges they have."""

    def accepts(point: Mapping[str, Value]) -> bool:
        units = [space[name].to_unit(value) for name, value in point.items()]  # type: ignore[arg-type]
        return not all(unit > 0.6 for unit in units[:2])

    return accepts
