"""Which process runs a study, and whether it is still alive."""

import getpass
import json
import os
import socket
import time
from dataclasses import asdict, dataclass
from pathlib import Path

SENT_BY = "HPO_SENT_BY"  # a variable that a job on a cluster has


@dataclass(frozen=True)
class Owner:
    """A process, identified by its number and by when it began."""

    host: str
    process: int
    began: str
    since: float  # seconds since 1970
    user: str = ""  # who started it, on which machine

    @classmethod
    def this_process(cls) -> "Owner":
        """Return the owner for this process."""
        return cls(_host(), os.getpid(), _began(os.getpid()), time.time(), this_user())

    @classmethod
    def from_text(cls, text: str) -> "Owner":
        """Read what `to_text` wrote."""
        return cls(**json.loads(text))

    def to_text(self) -> str:
        """Return the owner as one line."""
        return json.dumps(asdict(self))

    @property
    def by(self) -> str:
        """Who runs the study if that is known, else where it runs."""
        return self.user or self.host.partition(" ")[0]

    def is_gone(self) -> bool:
        """Return whether the process is known to have ended: never for one on another host."""
        return self.host == _host() and _began(self.process) != self.began

    def __str__(self) -> str:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self.since))
        return f"process {self.process} on {self.host} (since {since})"


def this_user() -> str:
    """Return who started this process; on a cluster, who sent it there."""
    sent_by = os.environ.get(SENT_BY)
    if sent_by:
        return sent_by
    try:
        return f"{getpass.getuser()} on {socket.gethostname()}"
    except (KeyError, OSError):  # a container may run as a user without a name
        return ""


def _host() -> str:
    """Return a name unique to this machine, and to its current boot."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8]
    except OSError:
        boot = ""
    return f"{socket.gethostname()} {boot}".strip()


def _began(process: int) -> str:
    """Return when a process of this machine began, in ticks; empty if there is none."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        pass
    else:
        return stat.rpartition(")")[2].split()[19]
    try:
        os.kill(process, 0)  # asks only whether it is there
    except ProcessLookupError:
        return ""
    except OSError:
        return "running"
    return "running" if not Path("/proc").exists() else ""
