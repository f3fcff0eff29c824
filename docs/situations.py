"""What people meet most, told by hand; the messages that it quotes are those of the source."""

import re
from dataclasses import dataclass

from docs.messages_found import Message, collected, said_in


@dataclass(frozen=True)
class Quote:
    """A message of a module, found by a pattern that its words and placeholders match."""

    module: str
    pattern: str

    def message(self) -> Message:
        """Return the message; ValueError where the module says nothing of the kind."""
        known = [m for m in collected() if m.module == self.module]
        for messages in (known, said_in(self.module)):
            found = [m for m in messages if re.search(self.pattern, m.text)]
            if found:
                return max(found, key=lambda message: len(message.text))
        raise ValueError(
            f"docs/situations.py: {self.module} says nothing that matches {self.pattern!r}; "
            "quote what it says now"
        )


@dataclass(frozen=True)
class Situation:
    """What one sees, what it means, and what to do."""

    title: str
    quotes: tuple[Quote, ...]
    meaning: str
    remedy: str


SITUATIONS = (
    Situation(
        "Nothing happens after `hpo run`",
        (Quote("hpo.api.session", "starting workers"), Quote("hpo.workers.ray", "no node of the")),
        "Ray takes a few seconds to start, longer on a busy machine or a slow disk. The progress "
        "line says what hpo is waiting for. On a cluster, trials wait until a node has what "
        "`[resources]` asks for.",
        "Wait, or train without Ray: `hpo run FILE --inline`. On a cluster, add a node that fits "
        "or ask for less in `[resources]`.",
    ),
    Situation(
        "The port is in use",
        (Quote("hpo.cli.serving", "port PORT"),),
        "Another program listens on the port given with `--port`, often an earlier `hpo ui`.",
        "Drop `--port`; `hpo ui` then takes the first free port from 5000 on.",
    ),
    Situation(
        "The MLflow server does not answer",
        (
            Quote("hpo.record.connection", "MLflow server"),
            Quote("hpo.record.delivery", "results wait in"),
            Quote("hpo.service.running", "result is on disk|results? .*on disk"),
        ),
        "The first message is the answer at the start: the address is wrong or the server is "
        "down. The others appear during a study. The search continues without the server, and each "
        "result stays in the outbox on disk until it is recorded.",
        "Start the server, or check `--tracking-uri`. If the study stopped, run the same command "
        "again: it records what waits and continues.",
    ),
    Situation(
        "The code of the objective changed",
        (Quote("hpo.service.comparability", "changed since.*--accept-code"),),
        "Trials of one study are only comparable if they ran the same code, so hpo refuses to mix "
        "them. Comments, docstrings and formatting do not count as changes. The message also "
        "appears for changed data or settings, and names what changed.",
        "Undo the change, rename the study to start a new one, or accept new code with `hpo run "
        "FILE --accept-code`; that is recorded. If only the evaluation changed, `hpo evaluate FILE "
        "--accept-code` is enough. [Changing a study](changes.md) has the details.",
    ),
    Situation(
        "The test set is spent",
        (Quote("hpo.evaluation", "test set of"),),
        "`hpo evaluate` scores on the test set once. After that, anything chosen with the score in "
        "mind would look better than it is.",
        "Read the recorded result with `hpo show STUDY`. If you need a second look, add `--again`: "
        "its result is marked as repeated.",
    ),
    Situation(
        "The study is already running",
        (
            Quote("hpo.record.claim", "^OWNER .*(wait|stop)"),
            Quote("hpo.record.outbox", "another process"),
            Quote("hpo.record.claim", "waiting .*heartbeat"),
        ),
        "One process at a time runs a study; the message says which one, on which machine, and "
        "since when. A process that died on another machine is noticed after 30 seconds without "
        "a heartbeat.",
        "Wait, or stop that process with Ctrl-C. Nothing is lost: the next `hpo run` continues.",
    ),
    Situation(
        "The record is on a network file system",
        (
            Quote("hpo.record.file", "network file system"),
            Quote("hpo.record.file", "write-ahead log, which"),
        ),
        "The first message is a notice: hpo keeps the record in a way that works there, a little "
        "slower. The second is an error: another process opened the record in the mode that only "
        "works on one machine.",
        "End the other process, or run the command on its machine. [Slurm](slurm.md) has more on "
        "network file systems, and [Cluster](cluster.md) sets up an MLflow server instead.",
    ),
    Situation(
        "Trials run out of memory",
        (
            Quote("hpo.workers.ray", "worker died"),
            Quote("hpo.resources", "(each|a) trial needs"),
        ),
        "Ray ends a trial when its machine runs low on memory, and the trial fails with Ray's "
        "report as its message. If the operating system was faster, its worker died: hpo runs the "
        "trial again, three times in total. The last message means that no machine has as much "
        "as `[resources]` asks for.",
        "Lower `round.parallel`, or set `memory` in `[resources]` to what one trial needs, so that "
        "fewer trials share a machine. A combination that never fits can end itself with `raise "
        "hpo.Infeasible(...)`; see [Search spaces](spaces.md).",
    ),
    Situation(
        "Trials fail",
        (
            Quote("hpo.service.round_loop", "FAILED of ENDED"),
            Quote("hpo.workers.attempt", "trial_timeout ="),
        ),
        "An exception in the objective fails its trial, and the search continues. If too many "
        "trials fail, the study stops with the last line of the last error.",
        "`hpo show STUDY` prints the end of the traceback of failed trials, and MLflow has it with "
        "the run of each. `hpo logs STUDY 2/17` prints what trial 17 of round 2 printed itself. "
        "`hpo check FILE --try` runs one short trial in your terminal. After the fix, continue "
        "with `hpo run FILE --accept-code`, adding `--rounds N` if the last round has ended. If no "
        "trial has succeeded yet, `hpo run FILE` starts the study over.",
    ),
    Situation(
        "The ranges did not move",
        (
            Quote("hpo.search.narrowing", "TRIALS trials show"),
            Quote("hpo.search.narrowing", "^only TRIALS"),
            Quote("hpo.search.narrowing", "can lie anywhere|anywhere in this range"),
        ),
        "A range moves on evidence only. `hpo narrow STUDY` gives the reason for each range: the "
        "hyperparameter makes no visible difference, too few trials have a result, or good values "
        "are everywhere.",
        "Run more trials per round, or set the range yourself: `hpo run FILE --rounds N --range "
        "learning_rate=1e-3:1e-1`. Ranges never pass their `limits`, and `--keep-ranges` holds "
        "all of them.",
    ),
)
