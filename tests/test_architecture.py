"""The house of the design, held by the syntax trees: what may import what, and what says why."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A module imports none that stands after it. The leaves of the trainer import only the first.
ORDER = {
    "hpo": """errors text wording passwords search_space trial moves order surface threads
        process_state objective_code objective predictor files columns tables sources data samplers
        pruning settings study workers outbox narrowing confirmation ray_settings ray_folder
        ray_workers cluster record_file ownership recorded run_format saved_view tracking
        record_process results comparability proposals round_loop drawing figures evaluation
        service terminal session cli""",
    "trainer": """arrays initializers losses metrics schedules transformations
        regularizers optimizers layers networks training model objectives""",
}
FIRST, *LEAVES = ORDER["trainer"].split()[:6]
THIRD_PARTY = {
    "tables": {"charset_normalizer", "pandas", "pyarrow"},
    "sources": {"pandas", "sklearn"}, "surface": {"scipy"}, "samplers": {"optuna", "scipy"},
    "study": {"pydantic"}, "threads": {"threadpoolctl"}, "narrowing": {"scipy"},
    "ray_workers": {"ray"}, "cluster": {"dotenv", "ray"},
    "run_format": {"mlflow"}, "tracking": {"mlflow"}, "results": {"pandas"},
    "drawing": {"matplotlib"}, "figures": {"matplotlib"},
    "evaluation": {"mlflow", "scipy", "sklearn"}, "terminal": {"rich"}, "cli": {"click", "rich"},
}  # fmt: skip
FILES = [path for package in ORDER for path in sorted((ROOT / package).rglob("*.py"))]


def imported(path: Path) -> Iterator[str]:
    """Yield every module a file imports, anywhere in it, with what it takes from it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: an import relative to the file"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_imports_only_what_stands_before_it(path: Path) -> None:
    package, *inside = path.relative_to(ROOT).with_suffix("").parts
    order, name = ORDER[package].split(), inside[0]
    assert name in [*order, "__init__"], f"{name} has no place in the order yet"
    for module in imported(path):
        top, _, rest = module.partition(".")
        other = rest.partition(".")[0]
        if top == package:
            assert other in order, f"{name} imports {module}, which is no module"
            assert name not in LEAVES or other == FIRST, f"{name} is a leaf, and imports {module}"
            assert order.index(other) < order.index(name) or other == inside[0] == "layers"
        elif top not in sys.stdlib_module_names:
            allowed = {"numpy"} | (THIRD_PARTY.get(name, set()) if package == "hpo" else set())
            assert top in allowed, f"{name} imports {top}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_opens_with_one_sentence(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first, _, rest = docstring.partition("\n")
    assert first[:1].isupper()
    assert first.endswith(".")
    assert not rest or rest.startswith("\n")
