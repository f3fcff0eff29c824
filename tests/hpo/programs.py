"""Programs and the study of one, for the tests of what they tell and leave."""

import sys
from pathlib import Path

PYTHON = sys.executable
STUDY = """
command = ["python", "program.py", "--rate", "{rate}"]
metric = "loss"
direction = "minimize"
[search_space]
rate = { low = 0.1, high = 1.0 }
layers = { low = 1, high = 4 }
[round]
trials = 6
parallel = 3
"""
PROGRAM = """
import json, os, random, sys
random.seed(int(os.environ["HPO_SEED"]))
rate, layers = float(sys.argv[2]), int(os.environ["HPO_PARAM_LAYERS"])
for epoch in range(1, 4):
    print(json.dumps({"epoch": epoch, "loss": (rate - .5) ** 2 + layers + random.random() / epoch}))
"""


def write(folder: Path, program: str = PROGRAM, study: str = STUDY) -> Path:
    (folder / "program.py").write_text(program)
    (folder / "toy.toml").write_text(study)
    return folder / "toy.toml"
