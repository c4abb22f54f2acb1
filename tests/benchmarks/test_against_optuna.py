"""What the comparison says of stored results, and that the other side is a fair one."""

import json
import subprocess
import sys

import against_optuna
import numpy as np
import optuna
import plain_optuna
import pytest
from against_optuna import MATCHES, failures, judge, key_of, stored_pairs, table
from common import HERE, Store, write_between

from autorecipe.training.evaluate import DeviceData
from autorecipe.training.hardware import Numerics, find_hardware


def row(side: str, score: float | None, **changes: object) -> dict[str, object]:
    facts = {"metric": "rmse", "wall": 119.0, "network": f"mlp {side}", "trials": 9, "kept": "trained again"}
    made = {"score": score, "code": 0, "test_examples": "abc", "machine": {"cores": "2 CPU cores"}}
    return {**facts, **made, **changes}


def pair(ours: float | None, theirs: float | None, **changes: object) -> dict[str, dict[str, object]]:
    return {"autorecipe": row("ours", ours, **changes), "plain": row("theirs", theirs)}


def pairs(*scores: tuple[float, float]) -> dict[int, dict[str, dict[str, object]]]:
    return {seed: pair(*both) for seed, both in enumerate(scores)}


def test_a_lower_rmse_is_ahead_and_four_of_five_are_needed():
    four = judge(MATCHES["diamonds"], "2m", pairs((1, 2), (1, 2), (1, 2), (1, 2), (3, 2)))
    assert (four["ahead"], four["reached"]) == (4, True)
    three = judge(MATCHES["diamonds"], "2m", pairs((1, 2), (1, 2), (1, 2), (3, 2), (3, 2)))
    assert three["checks"] == {"pairs": False, "median": True, "time": True}
    assert three["reached"] is False


def test_a_tie_is_not_ahead():
    tied = judge(MATCHES["diamonds"], "2m", pairs((1, 2), (1, 2), (1, 2), (2, 2), (2, 2)))
    assert (tied["ahead"], tied["reached"]) == (3, False)


def test_the_median_counts_as_well():
    match = MATCHES["fashion_mnist"]
    found = judge(match, "5m", pairs((5, 5.1), (1, 1.1), (9, 2)))
    assert found["checks"] == {"pairs": True, "median": False, "time": True}


def test_a_search_that_took_too_long_is_no_win():
    late = pairs((1, 2), (1, 2), (1, 2), (1, 2), (1, 2))
    late[2] = pair(1, 2, wall=125.0)
    assert judge(MATCHES["diamonds"], "2m", late)["checks"]["time"] is False


@pytest.mark.parametrize(("budget", "seeds"), [("30s", 5), ("2m", 4)])
def test_another_budget_or_fewer_seeds_are_not_judged(budget, seeds):
    quick = {seed: pair(1, 2, wall=29.0) for seed in range(seeds)}
    assert judge(MATCHES["diamonds"], budget, quick)["reached"] is None


def test_pairs_that_cannot_be_compared_are_no_win():
    assert failures(pair(1, 2)) == []
    assert failures(pair(1, 2, test_examples="other")) == ["the two sides were scored on different test examples"]
    assert "autorecipe: no score" in failures(pair(None, 2))
    assert failures(pair(1, 2, code=1)) != []
    assert judge(MATCHES["diamonds"], "2m", {0: pair(None, 2)})["reached"] is False


def test_the_table_has_each_pair_with_its_spread_and_leaves_the_rest_of_the_page(tmp_path):
    store = Store(tmp_path / "rows.jsonl")
    for seed, scores in enumerate([(550.0, 560.0), (540.0, 535.0)]):
        for side, score in zip(against_optuna.SIDES, scores, strict=True):
            store.row(key_of("diamonds", "2m", seed, side), lambda side=side, score=score: row(side, score))
    store.row(key_of("diamonds", "2m", 2, "plain"), lambda: row("plain", 1.0))  # half a pair
    assert list(stored_pairs(store, "diamonds")[0]) == [0, 1]
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- x: begin -->\nold\n<!-- x: end -->\nafter\n")
    write_between(page, "x", table(store))
    text = page.read_text()
    assert text.startswith("before\n<!-- x: begin -->\n")
    assert text.endswith("<!-- x: end -->\nafter\n")
    assert "old" not in text
    spread = "545.0 (540.0 to 550.0) | 547.5 (535.0 to 560.0) | 1 of 2 (5 are asked for)"
    assert f"| diamonds | 2m | rmse | {spread} |" in text
    assert "| diamonds | 1 | 540.0 | mlp autorecipe | 535.0 | mlp plain |" in text
    assert "against_optuna.py --data" in text
    assert "2 CPU cores" in text
    before = page.read_text()
    write_between(page, "x", table(store))
    assert page.read_text() == before


def test_a_page_without_markers_is_left_alone(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- x: end -->\n<!-- x: begin -->\n")
    with pytest.raises(SystemExit, match="must have the lines"):
        write_between(page, "x", "text")
    assert page.read_text() == "<!-- x: end -->\n<!-- x: begin -->\n"


def test_the_page_has_the_markers():
    assert f"<!-- {against_optuna.NAME}: begin -->" in against_optuna.DOC.read_text()


def test_a_stored_row_is_taken_for_its_code_alone(tmp_path):
    store = Store(tmp_path / "rows.jsonl")
    assert store.row("a", lambda: {"n": 1}, "old") == {"n": 1}
    assert store.row("a", lambda: {"n": 2}, "old") == {"n": 1}
    assert store.row("a", lambda: {"n": 3}, "new") == {"n": 3}
    newest = store.newest("a")
    assert newest is not None
    assert newest["row"] == {"n": 3}
    assert store.newest("b") is None


def bench_on(dataset) -> plain_optuna.Bench:
    data = DeviceData(dataset.info, dataset.inputs, dataset.targets)
    return plain_optuna.Bench(
        dataset, data, find_hardware("cpu"), Numerics("fp32", False, 1, 0.0, ""), against_clock(), seed=3
    )


def against_clock():
    from autorecipe.clock import parse_budget, start_clock

    return start_clock(parse_budget("1m"), since_process_start=False)


@pytest.mark.parametrize("name", ["digits", "mixed", "diabetes"])
def test_every_point_of_the_space_is_a_recipe_that_can_be_built(name, request):
    from autorecipe.networks import build

    bench = bench_on(request.getfixturevalue(name))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    recipes = [plain_optuna.suggest(study.ask(), bench) for _ in range(8)]
    assert len({recipe.digest for recipe in recipes}) == 8
    for recipe in recipes:
        build(recipe.network, recipe.regularization, bench.dataset.info, 0)
    image = bench.dataset.info.modality == "image"
    assert any(recipe.regularization.crop for recipe in recipes) is image
    assert any(recipe.regularization.label_smoothing for recipe in recipes) is (name != "diabetes")
    assert {recipe.training.seed for recipe in recipes} == {3}


def test_the_network_has_the_width_and_depth_asked_for(digits, diabetes):
    wide = plain_optuna.network(diabetes.info, 256, 4)
    assert [block.width for block in wide.blocks] == [256] * 4
    one, two = (plain_optuna.network(digits.info, 32, depth) for depth in (1, 2))
    assert (one.width, two.width) == (32, 32)
    assert len(two.blocks) == 2 * len(one.blocks)


def test_it_trains_on_what_it_does_not_choose_or_score_on(digits):
    bench = bench_on(digits)
    trained = bench.rows("train", "confirm").numpy()
    splits = digits.splits
    assert not np.isin(trained, np.concatenate([splits.val, splits.test])).any()
    assert len(trained) + len(splits.val) + len(splits.test) == len(digits.targets)


@pytest.mark.slow
def test_the_plain_search_ends_in_its_time_with_a_score(tmp_path):
    out = tmp_path / "result.json"
    words = [sys.executable, str(HERE / "plain_optuna.py"), "iris", "--budget", "25s", "--out", str(out)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(out.read_text())
    assert result["score"] > 0.6
    assert result["trials"] >= 2
    assert result["kept"] in ("trained again", "the best trial's")
