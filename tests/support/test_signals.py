"""A signal ends a program wherever it comes, and workers with their parent, and only with it."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest

from srtod.support.signals import EndingSignals, serve_parent

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no fork on Windows")

PARENT = """
import multiprocessing, time
from srtod.support.signals import EndingSignals, serve_parent

def work():
    serve_parent()
    time.sleep(60)

worker = multiprocessing.get_context("fork").Process(target=work)
worker.start()
print(worker.pid, flush=True)
time.sleep(60)
"""


def test_a_worker_ends_soon_after_its_parent_is_killed():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.send_signal(signal.SIGKILL)
        deadline = time.monotonic() + 20
        while _lives(worker):
            assert time.monotonic() < deadline, "it lives on"
            time.sleep(0.1)


def test_a_worker_outlives_the_thread_that_started_it():
    workers = []

    def start():
        workers.append(multiprocessing.get_context("fork").Process(target=_work, daemon=True))
        workers[0].start()

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    time.sleep(0.5)
    assert workers[0].is_alive()
    workers[0].kill()
    workers[0].join()


@pytest.fixture
def foreground():
    """Signals as a program in the foreground has them, whatever started the tests or what they imported."""
    own = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
    before = {number: signal.signal(number, handler) for number, handler in own.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Ended:
    def __init__(self, number):
        self.number = number

    def __del__(self):
        signal.raise_signal(self.number)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_that_comes_while_an_object_is_destroyed_ends_the_program_all_the_same(
    number, code, capfd, foreground
):
    signals = EndingSignals()
    with pytest.raises(KeyboardInterrupt), signals.heard():
        Ended(number)
        _nap()
    assert signals.exit_code == code
    assert capfd.readouterr().err == ""


def test_a_background_job_that_ignores_ctrl_c_hears_a_dropped_sigterm_and_no_ctrl_c(foreground):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signals = EndingSignals()
    with pytest.raises(KeyboardInterrupt), signals.heard():
        signal.raise_signal(signal.SIGINT)
        Ended(signal.SIGTERM)
        _nap()
    assert signals.exit_code == 143
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def _nap():
    """Wait a minute in many sleeps: in one, an interrupt would be seen only at its end."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.01)


def _lives(process):
    """Whether it runs; the system may keep its number until whoever inherits it has looked."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _work():
    serve_parent()
    time.sleep(60)
