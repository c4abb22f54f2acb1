from dataclasses import replace

import numpy as np
import pytest

from autorecipe.data.modality import Splits
from autorecipe.results import DatasetInfo, Decision, TargetScale
from autorecipe.search.answer import finding
from autorecipe.search.evidence import judge, num_different
from autorecipe.search.ledger import evidence_of
from autorecipe.search.trials import SeedRun
from autorecipe.training.evaluate import score

CLASSES = DatasetInfo("n", "table", "multiclass", "", "accuracy", "", {}, classes=("a", "b", "c"))


def run(outputs, rows, targets, info=CLASSES):
    return SeedRun(score(info.metric, targets[rows], outputs, info), outputs, rows, 1.0, False, None)


def pairs_of(sharper, flipped=0, count=40, seeds=2, wrong=4, sign=1):
    """Two recipes that say the same but for `flipped` examples; the candidate is surer of what is right."""
    random = np.random.default_rng(0)
    targets = random.integers(0, 3, count * seeds)
    pairs = []
    for seed in range(seeds):
        rows = np.arange(seed * count, (seed + 1) * count)
        signal = np.eye(3)[targets[rows]] * 2.0 + random.normal(0, 0.5, (count, 3))
        signal[:wrong] = np.roll(np.eye(3)[targets[rows[:wrong]]], 1, axis=1) * 2.0
        better = signal.copy()
        better[wrong:] *= sharper
        if flipped:  # right where the incumbent is wrong, or the other way round
            where = slice(0, flipped) if sign > 0 else slice(wrong, wrong + flipped)
            better[where] = np.eye(3)[(targets[rows[where]] + (0 if sign > 0 else 1)) % 3] * 0.1
        pairs.append((run(signal, rows, targets), run(better, rows, targets)))
    return pairs, targets


def test_where_both_say_the_same_the_log_loss_decides():
    pairs, targets = pairs_of(3.0)
    found = judge(pairs, targets, CLASSES, 160)
    assert num_different(pairs, CLASSES) == 0
    assert found.judged_by == "log_loss"
    assert found.found.effect == 0
    assert found.judged == found.by_loss
    assert found.judged.effect > 0
    assert found.losses["candidate"] < found.losses["incumbent"]
    assert found.error == pytest.approx(np.mean(found.losses["incumbent"]))


def test_a_temperature_alone_is_no_gain():
    """A candidate whose logits are the incumbent's, only larger, is as good after calibration."""
    pairs, targets = pairs_of(1.0)
    scaled = [(old, run(old.outputs * 4.0, old.rows, targets)) for old, _ in pairs]
    assert judge(scaled, targets, CLASSES, 160).judged.effect == pytest.approx(0.0, abs=1e-3)


def test_where_they_differ_on_enough_examples_the_metric_decides():
    pairs, targets = pairs_of(1.0, flipped=12, wrong=12)
    assert num_different(pairs, CLASSES) == 24
    found = judge(pairs, targets, CLASSES, 160)
    assert found.judged_by == "accuracy"
    assert found.judged == found.found
    assert found.found.effect > 0


def test_a_metric_of_probabilities_is_not_coarse():
    pairs, targets = pairs_of(3.0)
    info = replace(CLASSES, metric="brier_score")
    assert num_different(pairs, info) == 0
    assert judge(pairs, targets, info, 160).judged_by == "brier_score"


def test_groups_widen_the_interval_and_parts_count_once():
    pairs, targets = pairs_of(1.0, flipped=12, wrong=12)
    alone = judge(pairs, targets, CLASSES, 160)
    rows = np.arange(len(targets))
    splits = Splits(rows, rows[:0], rows[:0], rows[:0], (), groups=rows // 12)
    grouped = judge(pairs, targets, CLASSES, 160, splits=splits)
    assert grouped.found.effect == alone.found.effect
    assert grouped.found.standard_error > alone.found.standard_error
    single = judge(pairs, targets, CLASSES, 160, splits=replace(splits, groups=rows * 0))
    assert single.found.standard_error > grouped.found.standard_error
    assert alone.num_examples == len(targets)
    assert judge([pairs[0], pairs[0]], targets, CLASSES, 160).num_examples == len(pairs[0][0].rows)


def test_a_metric_that_points_the_other_way_is_not_overruled():
    pairs, targets = pairs_of(3.0, flipped=2, sign=-1)
    found = judge(pairs, targets, CLASSES, 160)
    assert found.found.effect < 0
    assert found.judged_by == "accuracy"


def test_a_regression_has_one_measure():
    info = DatasetInfo("n", "table", "regression", "", "rmse", "", {}, target_scale=TargetScale(mean=5.0, std=2.0))
    random = np.random.default_rng(0)
    targets = random.normal(size=80)
    rows = [np.arange(40), np.arange(40, 80)]
    noise = random.normal(size=80)
    pairs = [tuple(run((targets[r] + size * noise[r])[:, None], r, targets, info) for size in (0.5, 0.3)) for r in rows]
    found = judge(pairs, targets, info, 160)
    assert found.judged_by == "rmse"
    assert found.losses == {}
    assert len(found.evidence) == 1
    assert found.found.effect > 0


def decision_of(found):
    """The row of `decisions.json` that a measurement becomes."""
    evidence, *loss = found.evidence
    return Decision(
        stage="width",
        question="width 16 -> 32",
        incumbent="a",
        candidates=("b",),
        candidate="b",
        study="s",
        trials=(0,),
        effect=found.found.effect,
        standard_error=found.found.standard_error,
        interval=found.found.interval,
        p_better=found.judged.p_better,
        num_examples=found.num_examples,
        num_seeds=2,
        seconds=1.0,
        verdict="adopted",
        reason="",
        chosen="b",
        scores=found.scores,
        losses=found.losses,
        judged_by=found.judged_by,
        looks=found.looks,
        example_variance=evidence.example_variance,
        loss_example_variance=loss[0].example_variance if loss else 0.0,
        parts=evidence.parts,
        overlap=evidence.overlap,
    )


def test_a_decision_keeps_its_evidence():
    pairs, targets = pairs_of(3.0, flipped=1)
    found = judge(pairs, targets, CLASSES, 160)
    assert evidence_of(decision_of(found), "accuracy") == list(found.evidence)


def test_the_sentence_says_that_the_log_loss_decided():
    pairs, targets = pairs_of(3.0)
    assert "by log loss" in finding(decision_of(judge(pairs, targets, CLASSES, 160)), "accuracy")
    pairs, targets = pairs_of(1.0, flipped=12, wrong=12)
    assert "by log loss" not in finding(decision_of(judge(pairs, targets, CLASSES, 160)), "accuracy")
