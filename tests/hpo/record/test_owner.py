"""A process that runs a study is told from others, and known to be gone where that is sure."""

import os
import socket
import subprocess
import time
from dataclasses import replace

import pytest

from hpo.record.owner import SENT_BY, Owner


def test_an_owner_comes_back_and_lives_as_long_as_its_process() -> None:
    ours = Owner.this_process()
    assert Owner.from_text(ours.to_text()) == ours
    assert "\n" not in ours.to_text()
    assert (ours.process, ours.is_gone()) == (os.getpid(), False)
    assert ours.host.startswith(socket.gethostname())
    assert abs(ours.since - time.time()) < 60
    assert replace(ours, began="1").is_gone()  # another one had that number before
    assert not replace(ours, began="1", host="elsewhere").is_gone()


def test_a_process_that_ended_is_gone() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert replace(Owner.this_process(), process=process.pid).is_gone()


def test_an_owner_is_named_with_its_host_and_when_it_began() -> None:
    since = time.mktime((2026, 1, 2, 3, 4, 5, 0, 0, -1))
    assert str(Owner("there", 7, "1", since)) == "process 7 on there (since 2026-01-02 03:04:05)"


def test_whoever_sent_a_job_to_a_cluster_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SENT_BY, raising=False)
    assert Owner.this_process().by.endswith(f" on {socket.gethostname()}")
    monkeypatch.setenv(SENT_BY, "ada on laptop")
    assert Owner.this_process().by == "ada on laptop"
    assert Owner("head 1234", 7, "1", 0.0).by == "head"  # on records of earlier versions
