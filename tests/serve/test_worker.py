import threading

import pytest

from srtod.serve.worker import BusyError, Worker


def test_one_thread_does_all_jobs_in_order():
    worker, done = Worker(waiting=9), []
    jobs = [worker.submit(lambda n=n: done.append((n, threading.get_ident()))) for n in range(5)]
    for job in jobs:
        job.result(timeout=5)
    assert [n for n, _ in done] == list(range(5)) and len({thread for _, thread in done}) == 1


def test_a_place_is_free_again_after_a_failure_and_after_a_cancellation():
    worker, gate = Worker(waiting=1), threading.Event()
    running = worker.submit(lambda: gate.wait(5) and 1 / 0)
    waiting = worker.submit(lambda: "waited")
    with pytest.raises(BusyError) as refused:
        worker.submit(lambda: None)
    assert refused.value.retry_after == 1
    assert waiting.cancel()
    after = worker.submit(lambda: "done")
    gate.set()
    with pytest.raises(ZeroDivisionError):
        running.result(timeout=5)
    assert after.result(timeout=5) == "done"
    assert worker.submit(lambda: 1).result(timeout=5) == 1


def test_closing_drops_what_waits():
    worker, gate = Worker(waiting=1), threading.Event()
    worker.submit(lambda: gate.wait(5))
    waiting = worker.submit(lambda: None)
    worker.close()
    gate.set()
    assert waiting.cancelled()
