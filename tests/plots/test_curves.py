import numpy as np
import pytest

from srtod.plots import curves_figure
from srtod.plots.curves import series


def test_series_leaves_out_what_is_missing_or_not_finite():
    rows = [
        {"step": 1, "loss": 1.0},
        {"step": 2},
        {"step": 3, "loss": None},
        {"step": 4, "loss": float("nan")},
    ]
    steps, values = series(rows, "loss")
    assert steps.tolist() == [1.0] and values.tolist() == [1.0]
    assert series([], "loss")[0].size == 0


def test_the_figure_shows_every_loss_and_metric(tmp_path):
    training = [
        {"step": s, "loss": 2 / s, "loss_cls": 1 / s, "loss_reconstruction": 1 / s} for s in range(1, 99)
    ]
    evaluations = [{"step": 50, "AP": 0.1, "AP50": 0.3, "APm": -1.0}, {"step": 98, "AP": 0.2, "AP50": 0.5}]
    figure = curves_figure(training, evaluations)
    figure.savefig(tmp_path / "curves.png")
    losses, metrics = figure.axes
    assert [line.get_label() for line in losses.lines] == ["sum", "cls", "reconstruction"]
    assert [line.get_label() for line in metrics.lines] == ["AP 0.200", "AP50 0.500"]
    drawn = np.asarray(losses.lines[0].get_ydata())
    assert np.isfinite(drawn).all() and drawn[-1] == pytest.approx(2 / 98, rel=0.05)


def test_nothing_recorded_is_said():
    texts = [text.get_text() for axis in curves_figure([], []).axes for text in axis.texts]
    assert texts == ["no losses recorded", "not evaluated yet"]
