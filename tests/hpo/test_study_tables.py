"""Packages that an objective needs are named with their versions, and are installed."""

import numpy as np
import pytest

from hpo.errors import InputError
from hpo.study import read
from tests.fixtures import Make


def test_packages_with_their_versions(make_study: Make) -> None:
    packages = [f"numpy=={np.__version__}", f"NumPy[extra] == {np.__version__}"]
    found = read(make_study(environment={"packages": packages}))
    assert found.environment.packages == tuple(packages)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("numpy", "'numpy' has no exact version; use the form NAME==VERSION"),
        ("numpy>=1", "'numpy>=1' has no exact version"),
        ("numpy>=1,==2", "has no exact version"),
        ("not a package", "has no exact version"),
        ("numpy==1; sys_platform == 1", "has no exact version"),
        ("numpy 7", "has no exact version"),
        ("x @ https://x.org/x.whl", "has no exact version"),
        ("nothing-at-all==1.0", "is not installed here; run: pip install nothing-at-all==1.0"),
        ("numpy==1.0",
         f"numpy==1.0 is needed, but {np.__version__} is installed here; run: pip install"),
    ],
)
def test_packages_that_are_not_as_the_file_says(make_study: Make, text: str, said: str) -> None:
    with pytest.raises(InputError) as error:
        read(make_study(environment={"packages": [text]}))
    assert "toy.toml: environment.packages: " in str(error.value)
    assert said in str(error.value)
