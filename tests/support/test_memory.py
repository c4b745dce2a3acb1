from srtod.support import memory


def test_memory_is_told_where_the_kernel_keeps_no_file_about_processes(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_STATUS", tmp_path / "status")
    memory.forget_peak()
    assert memory.resident_memory() > 1_000_000
    assert memory.peak_memory() > 0
