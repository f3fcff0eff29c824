"""Count lines of code of each example, in hpo and Optuna, without comments and docstrings."""

import argparse
import ast
import io
import json
import tokenize
from pathlib import Path

HERE = Path(__file__).parent
EXAMPLES = HERE.parent / "studies" / "examples"
BESIDE = {"script.py"}  # the same file in both: what it trains is not counted


def lines_of_python(text: str) -> int:
    skipped: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            first = body[0]
            if isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                skipped |= set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    told = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    counted: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in told and token.string:
            counted |= set(range(token.start[0], token.end[0] + 1))
    return len(counted - skipped)


def lines_of_toml(text: str) -> int:
    return sum(bool(line.split("#")[0].strip()) for line in text.splitlines())


def table() -> list[dict[str, str | int]]:
    rows: list[dict[str, str | int]] = []
    for study in sorted(EXAMPLES.glob("*.toml")):
        code = study.with_suffix(".py")
        if not (HERE / "optuna_examples" / code.name).exists():
            continue  # nothing of Optuna's goes on in the middle of a trial
        python = 0 if code.name in BESIDE else lines_of_python(code.read_text(encoding="utf-8"))
        toml = lines_of_toml(study.read_text(encoding="utf-8"))
        peer = (HERE / "optuna_examples" / code.name).read_text(encoding="utf-8")
        rows.append({
            "example": study.stem, "python": python, "study file": toml,
            "together": python + toml, "optuna": lines_of_python(peer),
        })  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    rows = table()
    if parser.parse_args().json:
        print(json.dumps(rows, indent=2))
        return
    print("| example | Python | study file | together | with Optuna |\n|---|---|---|---|---|")
    for row in rows:
        print("|", " | ".join(map(str, row.values())), "|")


if __name__ == "__main__":
    main()
