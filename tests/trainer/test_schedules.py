import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.schedules import SCHEDULES


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_schedule_starts_at_1_and_ends_where_it_shall(name):
    assert SCHEDULES[name](0.0, 0.04) == pytest.approx(1.0)
    assert SCHEDULES[name](1.0, 0.04) == pytest.approx(1.0 if name == "constant" else 0.04)


@given(st.sampled_from(list(SCHEDULES)), st.floats(1e-6, 1), st.floats(0, 1), st.floats(0, 1))
def test_a_schedule_never_rises_and_stays_between_its_ends(name, end, one, other):
    early, late = (SCHEDULES[name](progress, end) for progress in sorted((one, other)))
    assert end * (1 - 1e-9) <= late <= early * (1 + 1e-9) <= 1 + 2e-9


def test_schedules_half_way():
    assert SCHEDULES["step"](0.5, 0.01) == pytest.approx(0.1)
    assert SCHEDULES["exponential"](0.5, 0.01) == pytest.approx(0.1)
    assert SCHEDULES["cosine"](0.5, 0.01) == pytest.approx(0.505)
    assert SCHEDULES["step"](0.3, 0.01) == 1.0
