"""Signals while a local Ray starts or ends: held back, but not lost."""

import signal
import threading

import pytest

from hpo.workers.ray_local import uninterrupted


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_end_and_a_second_one_does_not(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    came: list[int] = []

    def stop(number: int, _: object) -> None:
        came.append(number)
        raise KeyboardInterrupt

    signal.signal(number, stop)
    done: list[int] = []

    def work(signals: int) -> None:
        with uninterrupted():
            for _ in range(signals):
                signal.raise_signal(number)
            done.append(signals)

    try:
        with pytest.raises(KeyboardInterrupt):
            work(1)
        assert (done, came) == ([1], [number])
        with pytest.raises(KeyboardInterrupt):
            work(2)
        assert (done, came) == ([1], [number])
        with uninterrupted():
            pass
        assert signal.getsignal(number) is stop
    finally:
        signal.signal(number, before)


def test_other_threads_change_no_signals() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def work() -> None:
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
