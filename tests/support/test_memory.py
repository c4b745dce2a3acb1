import pytest
import torch

from srtod.support import memory


def test_memory_is_told_where_the_kernel_keeps_no_file_about_processes(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "status")
    memory.forget_peak()
    assert memory.resident_memory() > 1_000_000
    assert memory.peak_memory() > 0


@pytest.mark.parametrize(
    ("limit", "free"), [("3000000\n", 3_000_000 - 1_000_000 + 250_000), ("1000\n", 0), ("max\n", None)]
)
def test_a_container_has_what_its_limit_leaves(limit, free, monkeypatch, tmp_path):
    (tmp_path / "memory.max").write_text(limit)
    (tmp_path / "memory.current").write_text("1000000\n")
    (tmp_path / "memory.stat").write_text("anon 700000\ninactive_file 250000\nactive_file 50000\n")
    if free == 0:
        (tmp_path / "memory.stat").write_text("inactive_file 0\n")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)
    found = memory.free_memory(torch.device("cpu"))
    assert found == free if free is not None else found > 10_000_000
