"""A command at work: what its status says at the end, and which signals it answers."""

from __future__ import annotations

import os
import signal
import threading
import time

import pytest

from picie_core.cli.job import Job, stop_on_signal
from picie_core.cli.parser import run_command
from picie_core.errors import PicieError, Stopped
from picie_core.progress import Progress


@pytest.mark.parametrize(
    ("error", "state", "message"),
    [
        (PicieError("disk full"), "failed", "disk full"),
        (ValueError(), "failed", "ValueError"),
        (Stopped("stopped in epoch 2"), "stopped", "stopped in epoch 2"),
        (KeyboardInterrupt(), "stopped", ""),
    ],
)
def test_the_last_word_of_a_job(finished_copy, error, state, message):
    """However a job ends, its status says how; the error goes on."""
    with pytest.raises(type(error)), Job(finished_copy, "embed") as job:
        job(Progress("embed", 1, 3))
        assert finished_copy.jobs()["embed"].alive
        raise error
    status = finished_copy.jobs()["embed"]
    assert (status.state, status.message, status.progress.done) == (state, message, 1)


def test_a_bar_for_each_phase_and_notes_between(finished_copy, capsys):
    """Every phase has a bar of its own on stderr; a note stands on a line of its own."""
    with Job(finished_copy, "project") as job:
        job(Progress("read", 2, 2, metrics={"loss": 0.123456}))
        job.note("half of it is done")
        job(Progress("place", 3, 3))
        assert job.done({"points": 3}) == {"points": 3}
    out, err = capsys.readouterr()
    assert out == "" and "half of it is done\n" in err
    assert "read: 100%" in err and "2/2" in err and "loss=0.1235" in err and "place: 100%" in err
    status = finished_copy.jobs()["project"]
    assert (status.state, status.result) == ("done", {"points": 3})


def test_a_command_that_is_told_to_end_stops(capsys):
    """SIGTERM ends it as Ctrl-C does; afterwards the process answers signals as it did before."""
    before = signal.getsignal(signal.SIGTERM)

    def act() -> dict:
        """Waits to be told."""
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(30)
        return {}

    assert run_command({"act": act}, ["act"]) == 1
    assert capsys.readouterr().err == "act: stopped; nothing half-written was left\n"
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_command_beside_the_main_thread_leaves_signals_alone(capsys):
    """Python lets the main thread alone answer signals: a command works in another one, too."""
    before, codes = signal.getsignal(signal.SIGTERM), []

    def act() -> dict:
        """Says who answers."""
        return {"same": signal.getsignal(signal.SIGTERM) is before}

    thread = threading.Thread(target=lambda: codes.append(run_command({"act": act}, ["act", "--json"])))
    thread.start()
    thread.join()
    assert codes == [0] and capsys.readouterr().out == '{"same": true}\n'


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_is_asked_for_once(number):
    """The first signal asks for a stop, whichever it is; the next one is answered as before."""
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    with stop_on_signal() as stop:
        assert not stop()
        os.kill(os.getpid(), number)
        assert stop()
        assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before


def test_several_signals_can_ask_for_one_stop():
    """Where a second signal may come by itself, it asks for the same stop and raises nothing."""
    before = signal.getsignal(signal.SIGINT)
    with stop_on_signal(second_ends=False) as stop:
        for _ in range(3):
            os.kill(os.getpid(), signal.SIGINT)
            assert stop()
    assert signal.getsignal(signal.SIGINT) == before
