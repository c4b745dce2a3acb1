import threading

import pytest
import torch

from srtod.serve.queue import BusyError, JobQueue, MemoryFullError


def test_one_thread_does_all_jobs_in_order():
    queue, done = JobQueue(waiting=9), []
    jobs = [queue.submit(lambda n=n: done.append((n, threading.get_ident()))) for n in range(5)]
    for job in jobs:
        job.result(timeout=5)
    assert [n for n, _ in done] == list(range(5)) and len({thread for _, thread in done}) == 1


def test_a_place_is_free_again_after_a_failure():
    queue = JobQueue(waiting=1)
    with queue.place(), queue.place(), pytest.raises(BusyError) as refused, queue.place():
        pytest.fail("there were two places")
    assert refused.value.retry_after == 1
    with pytest.raises(ZeroDivisionError), queue.place():
        queue.submit(lambda: 1 / 0).result(timeout=5)
    with queue.place(), queue.place():
        assert queue.submit(lambda: "done").result(timeout=5) == "done"


def test_closing_drops_what_waits():
    queue, gate = JobQueue(waiting=1), threading.Event()
    queue.submit(lambda: gate.wait(5))
    waiting = queue.submit(lambda: None)
    queue.close()
    gate.set()
    assert waiting.cancelled()


def allocator_fails():
    torch.empty(10**15)


def gpu_is_full():
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")


@pytest.mark.parametrize("job", [allocator_fails, gpu_is_full], ids=["cpu", "gpu"])
def test_a_lack_of_memory_is_told_and_what_is_kept_is_given_back(job, monkeypatch):
    emptied = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    queue = JobQueue(waiting=1)
    with pytest.raises(MemoryFullError, match="send a smaller one"):
        queue.submit(job).result(timeout=5)
    assert emptied == [True]
    assert queue.submit(lambda: "goes on").result(timeout=5) == "goes on"


def test_other_failures_stay_what_they_are():
    with pytest.raises(RuntimeError, match="size of tensor"):
        JobQueue(waiting=0).submit(lambda: torch.ones(2).add(torch.ones(3))).result(timeout=5)
