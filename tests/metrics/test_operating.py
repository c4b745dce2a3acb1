"""Thresholds by hand: five detections of three objects in two images."""

import numpy as np
import pytest

from srtod.metrics.operating import Reliability, Rule, Sweep
from srtod.support.errors import InputError

SCORES = np.array([0.9, 0.8, 0.6, 0.6, 0.2])
HITS = np.array([True, False, True, False, False])


@pytest.fixture
def sweep():
    return Sweep.of(SCORES, HITS, ~HITS, 3)


def test_equal_scores_are_kept_together(sweep):
    assert sweep.scores.tolist() == [0.9, 0.8, 0.6, 0.2]
    assert sweep.right.tolist() == [1, 1, 2, 2] and sweep.wrong.tolist() == [0, 1, 2, 3]
    assert sweep.recall == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert sweep.precision == pytest.approx([1, 1 / 2, 1 / 2, 2 / 5])
    assert sweep.f1 == pytest.approx([1 / 2, 2 / 5, 4 / 7, 1 / 2])


@pytest.mark.parametrize(
    ("rule", "kept", "threshold"),
    [
        ("best-f1", 3, 0.4),
        ("recall=0.3", 1, 0.85),
        ("recall=0.5", 3, 0.4),
        ("recall=0.9", 4, 0.1),
        ("false-alarms=0", 1, 0.85),
        ("false-alarms=0.5", 2, 0.7),
        ("false-alarms=9", 4, 0.1),
    ],
)
def test_each_rule_keeps_what_it_says(sweep, rule, kept, threshold):
    assert sweep.choose(Rule.parse(rule), images=2) == kept
    assert sweep.threshold(kept) == pytest.approx(threshold)
    assert str(Rule.parse(rule)) == rule


def test_where_the_first_is_wrong_no_false_alarm_keeps_none():
    sweep = Sweep.of(SCORES, ~HITS, HITS, 3)
    assert sweep.choose(Rule.parse("false-alarms=0"), images=2) == 0
    assert sweep.threshold(0) == 1.0


def test_where_all_are_wrong_the_best_f1_keeps_none():
    wrong = Sweep.of(SCORES, np.zeros(5, bool), np.ones(5, bool), 3)
    assert wrong.choose(Rule.parse("best-f1"), images=2) == 0


def test_nothing_found_has_a_sweep(tmp_path):
    sweep = Sweep.of(SCORES[:0], HITS[:0], HITS[:0], 3)
    assert [sweep.choose(Rule.parse(rule), 2) for rule in ("best-f1", "recall=1", "false-alarms=1")] == [
        0,
        0,
        0,
    ]


@pytest.mark.parametrize("rule", ["recall", "recall=x", "recall=-1", "f1", "best-f1=1", "false-alarms=inf=1"])
def test_other_rules_are_refused(rule):
    with pytest.raises(InputError, match="--calibrate"):
        Rule.parse(rule)


def test_reliability_by_hand():
    bins = Reliability.of(np.array([0.95, 0.85, 0.87, 1.0]), np.array([True, True, False, True]))
    assert bins.counts.tolist() == [0] * 8 + [2, 2]
    assert bins.precision[8:].tolist() == [0.5, 1.0] and bins.scores[8:] == pytest.approx([0.86, 0.975])
    assert bins.error == pytest.approx((2 * 0.36 + 2 * 0.025) / 4)
    assert np.isnan(Reliability.of(np.zeros(0), np.zeros(0, bool)).error)


def test_scores_that_are_no_probabilities_fall_into_the_bins_at_the_ends():
    bins = Reliability.of(np.array([-0.5, 0.05, 3.0]), np.array([False, True, True]))
    assert bins.counts.tolist() == [2, 0, 0, 0, 0, 0, 0, 0, 0, 1]
