"""Write docs/reliability.md from a run of the tests that kill things.

python -m pytest tests/crashes --junitxml=crashes.xml
python tests/reliability.py crashes.xml > docs/reliability.md
"""

import sys
from pathlib import Path
from xml.etree import ElementTree

HEAD = """# What dies, and what then

Each row is a test of `tests/crashes` with real processes: a real SIGKILL, a real MLflow
server on this machine, a real Ray. After the fault the same command is given again, and its table
of trials, but for times, places and attempts, is compared byte for byte with that of an
undisturbed run. *Lost*: finished trials that are missing. *Trained twice*: trials whose training
began more than once, which is right for those that ran when their process died, and for no
others. *Differences*: rows that are not the same.

Written by `tests/reliability.py` from a run of these tests.

| fault | times | trials | lost | trained twice | differences |
|---|---|---|---|---|---|"""

FOOT = """
Tested beside these, with no table to compare: Ctrl-C with trials that hang in C code (exit code
130, how to go on is said); a second service on the same study (refused, with the process that
runs it); a trial that hangs in C code (stopped after `trial_timeout`), raises, or eats memory
(failed at once, by Ray's memory monitor); an objective that always fails (the study stops and
says why); a full disk (no half-written line in the outbox); runs, rounds and experiments deleted
in MLflow, also trials, repeats and rounds that run; a copy of a trial's folder that broke off, is
damaged, is of other code, has no room, or holds links, sockets and 10,000 files.

A result stays on disk, in the outbox, until its round has ended and was read back from the SQLite
file that the record's path names; the file is looked at every few seconds as well. Where it is
not the one that was written to, nothing more is dropped, what the open file holds is saved beside
it, and the study stops and names both. The same command then goes on with whatever file is put
there: results of the round that ran come from the outbox, those of earlier rounds from the file.

Of two processes that begin the same new study at the same moment, one goes on and the other is
refused: MLflow gives a name once.

Not covered: a machine that loses power may lose the last writes of its SQLite file.
"""


def main() -> None:
    """Print the page."""
    print(HEAD)
    for case in ElementTree.parse(Path(sys.argv[1])).iter("testcase"):
        row = {p.attrib["name"]: p.attrib["value"] for p in case.iter("property")}
        if row and case.find("failure") is None:
            keys = ("fault", "times", "trials", "lost", "twice", "differences")
            print("| " + " | ".join(row[key] for key in keys) + " |")
    print(FOOT, end="")


if __name__ == "__main__":
    main()
