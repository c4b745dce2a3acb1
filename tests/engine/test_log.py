"""What a run says of its time."""

from types import SimpleNamespace
from typing import Any

import pytest

from srtod.engine import log as log_module
from srtod.engine.log import RunLog


@pytest.mark.parametrize(("seconds", "says"), [(1.0, False), (30.0, True)])
def test_a_training_of_hours_is_told_after_its_first_steps_with_what_shortens_it(
    tmp_path, monkeypatch, capsys, seconds, says
):
    now = [0.0]
    monkeypatch.setattr(log_module.time, "monotonic", lambda: now[0])
    main = SimpleNamespace(is_main_process=True)
    run: Any = SimpleNamespace(accelerator=main, output=tmp_path, step=0, log_bytes=0)
    log = RunLog(run, steps=1000)
    for run.step in range(1, 31):
        now[0] += seconds
        log.train(1, {"loss": 1.0}, write=False)
    shown = " ".join(capsys.readouterr().err.split())
    assert ("this will take about 8.2 hours" in shown) == says
    assert shown.count("fewer --epochs, a smaller --crop") == int(says)
