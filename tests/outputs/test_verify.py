"""A small run made once, and what is found in copies of it that somebody changed."""

import json
import shutil
from dataclasses import replace as replace_record

import numpy as np
import pytest
from helpers import small_digits
from run_helpers import (
    change_json,
    check,
    claim_that,
    copy_of,
    failed,
    good_and_bad,
    of_kind,
    search_small,
    sign_again,
)
from safetensors.numpy import load_file, save_file

import autorecipe
from autorecipe.cli.main import run as command
from autorecipe.errors import InputError, Stopped
from autorecipe.networks import FAMILIES
from autorecipe.outputs import verify as verifying
from autorecipe.outputs.export import export
from autorecipe.outputs.recheck import FIRST_SEED, LOOKS, by_importance, without_claim
from autorecipe.outputs.report import write_report
from autorecipe.recipe import dump_yaml, load_recipe, replace
from autorecipe.rundir import RunDir, locked, read_json, reading, write_json
from autorecipe.search.checksums import changed_files
from autorecipe.search.ledger import load_decisions, save_decisions
from autorecipe.search.trials import MOST_SEEDS


@pytest.fixture(scope="module")
def made(_own_cache, tmp_path_factory):
    """A search of iris."""
    return search_small(tmp_path_factory.mktemp("runs") / "iris-1")


@pytest.fixture
def run(made, tmp_path):
    """A copy of it that may be changed."""
    return copy_of(made, tmp_path)


def contents(run):
    return {p.relative_to(run.path): (p.read_bytes(), p.stat().st_mtime_ns) for p in run.path.rglob("*") if p.is_file()}


def test_a_run_as_it_was_left_holds_and_is_only_read(run):
    before = contents(run)
    found = check(run)
    assert failed(found) == []
    assert found.holds
    assert contents(run) == before
    assert {c.verdict for c in found.claims if c.kind in ("files", "data", "score")} == {"holds"}
    assert of_kind(found, "ledger")[0].verdict == "holds"
    assert [c.what for c in of_kind(found, "score")][:2] == [
        "accuracy of the saved weights on test",
        "log_loss of the saved weights on test",
    ]
    summary = read_json(run.summary)
    assert of_kind(found, "score")[0].numbers["found"] == pytest.approx(summary["scores"]["test"])
    assert found.test_reads == 1


def test_every_result_has_a_checksum(made):
    sums = read_json(made.checksums)
    files = sums["files"]
    assert {
        "settings.json",
        "summary.json",
        "model.safetensors",
        "decisions.json",
        "trials.jsonl",
        "splits.json",
    } <= set(files)
    assert sum(name.startswith("recipes/") for name in files) == len(list((made.path / "recipes").glob("*.yaml")))
    assert {name.split("/")[1] for name in files if name.count("/") == 2} >= {"shapes", "trials", "evidence"}
    assert set(sums["beginnings"]) == {"log.jsonl", "study.journal"}
    assert changed_files(made) == (len(files) + 3, [])  # and the state


def edit(name, old, new):
    def change(run):
        path = run.path / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


def remove(name):
    return lambda run: (run.path / name).unlink()


def turn_a_bit(run):
    data = bytearray(run.weights.read_bytes())
    data[-1] ^= 64
    run.weights.write_bytes(bytes(data))


def other_recipe(run):
    run.recipe.write_text(dump_yaml(replace(load_recipe(run.recipe), {"optimizer.lr": 0.5})))


def swap_recipes(run):
    first, second = sorted((run.path / "recipes").glob("*.yaml"))[:2]
    text = first.read_text()
    first.write_text(second.read_text())
    second.write_text(text)


def swap_examples(run):
    splits = read_json(run.splits)
    splits["train"][0], splits["test"][0] = splits["test"][0], splits["train"][0]
    write_json(run.splits, splits)


TAMPERED = {
    "score": lambda run: change_json(run.summary, scores__test=0.9999),
    "metrics": lambda run: change_json(run.summary, metrics__test__log_loss=0.001),
    "weights": turn_a_bit,
    "weights gone": remove("model.safetensors"),
    "recipe": other_recipe,
    "recipe cut off": lambda run: run.recipe.write_text(run.recipe.read_text()[:300]),
    "recipe gone": remove("recipe.yaml"),
    "recipes": swap_recipes,
    "recipes gone": lambda run: next((run.path / "recipes").glob("*.yaml")).unlink(),
    "decisions": lambda run: edit("decisions.json", '"verdict": "', '"verdict": "no ')(run),
    "decisions gone": remove("decisions.json"),
    "trials": lambda run: run.trials.write_text("\n".join(run.trials.read_text().splitlines()[1:]) + "\n"),
    "splits": swap_examples,
    "preprocess": edit("preprocess.json", '"median":', '"median": 1000, "old":'),
    "summary gone": remove("summary.json"),
    "checksums gone": remove("checksums.json"),
    "checksums empty": lambda run: write_json(run.checksums, {"format": 1, "files": {}}),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_every_file_that_is_changed_or_gone_is_found(what, run):
    TAMPERED[what](run)
    found = check(run)
    assert not found.holds
    assert "files" in failed(found)


@pytest.fixture
def drawn(run):
    """The run with files that iris alone does not leave, and that the report is drawn from too."""
    write_json(run.race, {"winner": "a"})
    run.pictures.mkdir(exist_ok=True)
    (run.pictures / "0.png").write_bytes(b"picture")
    sign_again(run)
    return run


def turn_a_byte(pattern):
    def change(run):
        path = min(run.path.glob(pattern))
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(bytes(data))

    return change


SOURCES = {
    **{name: turn_a_byte(name) for name in ("log.jsonl", "study.journal", "artifacts/race.json")},
    **{name: turn_a_byte(name) for name in ("artifacts/shapes/*.json", "artifacts/trials/*.json")},
    **{name: turn_a_byte(name) for name in ("artifacts/evidence/*.safetensors", "artifacts/examples/*.png")},
    "settings.json": edit("settings.json", '"30epochs"', '"31epochs"'),
    "state.json": edit("state.json", '"test_reads": 1', '"test_reads": 0'),
}
"""What the report is drawn from and a resumed run goes on with: file -> a change of one byte."""


@pytest.mark.parametrize("pattern", SOURCES)
def test_a_byte_of_what_the_report_is_drawn_from_is_found(pattern, drawn, capsys):
    name = min(drawn.path.glob(pattern)).relative_to(drawn.path).as_posix()
    SOURCES[pattern](drawn)
    assert command(["verify", str(drawn.path), "--budget", "1epochs", "--json"]) == 1
    wrong = [c for c in json.loads(capsys.readouterr().out)["claims"] if c["verdict"] == "does not hold"]
    changed, *others = [c["reason"] for c in wrong]
    assert changed == f"{name} was changed"
    # What a decision counts may be found as well, where it rests on that byte.
    assert all(said.startswith("decision ") and "counted again" in said for said in others)
    assert not others or "evidence" in pattern


@pytest.mark.parametrize("pattern", [name for name in SOURCES if name != "settings.json"])
def test_what_the_report_is_drawn_from_is_missed(pattern, drawn):
    path = min(drawn.path.glob(pattern))
    path.unlink()
    assert changed_files(drawn)[1] == [f"{path.relative_to(drawn.path).as_posix()} is gone"]


def test_lines_may_be_appended_and_times_booked_after_the_end(run):
    run.event("note", text="later")
    with open(run.journal, "ab") as file:
        file.write(b'{"op_code": 2, "worker_id": "a"}\n')
    change_json(run.state, spent_seconds=99.0, by_stage__outputs=1.0)
    assert check(run).holds


def test_a_log_that_was_cut_off_is_found(run):
    lines = run.log.read_bytes().splitlines(keepends=True)
    run.log.write_bytes(b"".join(lines[:-2]))
    assert changed_files(run)[1] == ["log.jsonl was changed"]


def test_what_was_appended_is_summed_with_the_next_export_unless_the_rest_was_changed(run):
    run.event("note", text="later")
    write_report(run)
    whole = run.log.read_text()
    run.log.write_text(whole.replace("later", "never"))
    assert changed_files(run)[1] == ["log.jsonl was changed"]
    write_report(run)
    assert changed_files(run)[1] == ["log.jsonl was changed"]
    run.log.write_text(whole)
    assert changed_files(run)[1] == []


def test_checksums_of_before_files_could_grow_are_enough(run):
    sums = read_json(run.checksums)
    write_json(run.checksums, {"format": 1, "files": {"summary.json": sums["files"]["summary.json"]}})
    turn_a_byte("log.jsonl")(run)
    assert changed_files(run) == (1, [])
    write_report(run)
    assert "beginnings" not in read_json(run.checksums)
    assert check(run).holds


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ("score", "score"),
        ("metrics", "score"),
        ("weights", "files"),
        ("recipe", "files"),
        ("recipes", "files"),
        ("recipes gone", "files"),
        ("trials", "files"),
        ("splits", "data"),
        ("preprocess", "data"),
    ],
)
def test_a_forger_who_knows_of_the_checksums_is_found_by_what_is_measured_again(what, kind, run):
    TAMPERED[what](run)
    sign_again(run)
    assert failed(check(run)) == [kind]


def test_other_weights_with_all_their_checksums_do_not_have_the_score(run):
    tensors = load_file(run.weights)
    save_file({name: -t if t.dtype == np.float32 else t for name, t in tensors.items()}, run.weights)
    from autorecipe.rundir import sha256

    change_json(run.summary, weights_sha256=sha256(run.weights))
    sign_again(run)
    assert failed(check(run)) == ["score"]


def test_a_decision_whose_numbers_were_raised_does_not_follow_from_its_predictions(run):
    rows = read_json(run.decisions)
    which = next(i for i, row in enumerate(rows) if row["effect"] is not None)
    rows[which] |= {"effect": 0.5, "p_better": 0.999, "interval": [0.4, 0.6], "verdict": "adopted"}
    rows[which]["chosen"] = rows[which]["candidate"]
    write_json(run.decisions, rows)
    sign_again(run)
    ledger = of_kind(check(run), "ledger")[0]
    assert ledger.verdict == "does not hold"
    assert f"decision {which + 1}" in ledger.reason


def test_a_verdict_alone_that_was_changed_does_not_follow(run):
    rows = read_json(run.decisions)
    which = next(i for i, row in enumerate(rows) if row["effect"] is not None and row["verdict"] != "adopted")
    rows[which] |= {"verdict": "adopted", "chosen": rows[which]["candidate"]}
    write_json(run.decisions, rows)
    sign_again(run)
    assert "ledger" in failed(check(run))


def test_without_the_kept_predictions_the_ledger_is_not_checked(run):
    shutil.rmtree(run.artifacts / "evidence")
    ledger = of_kind(check(run), "ledger")[0]
    assert ledger.verdict == "not checked"
    assert "artifacts/evidence" in ledger.reason


def test_damaged_predictions_are_not_checked_and_harm_no_later_decision(run):
    """A file of an early decision: later ones pool its seeds' variance, and must not be told to be wrong."""
    measured = [d for d in load_decisions(run) if d.effect is not None]
    sides = [digest for d in measured for digest in (d.incumbent, d.candidate)]
    alone = [digest for digest in sides[:-2] if sides.count(digest) == 1]
    recipe = replace(run.load_recipe(alone[0]), {"training.seed": 1000})  # of the first fresh seed
    kept = run.artifacts / "evidence" / f"{recipe.digest}.safetensors"
    for change in (lambda: kept.write_bytes(kept.read_bytes()[:20]), kept.unlink):
        change()
        ledger = of_kind(check(run), "ledger")[0]
        assert (ledger.verdict, ledger.found) == ("not checked", f"{len(measured) - 1} counted again")


def test_an_export_that_was_changed_is_found_and_one_that_is_gone_is_not_missed(run):
    export(run, "script")
    assert check(run).holds
    run.script.write_text(run.script.read_text() + "# more\n")
    assert failed(check(run)) == ["files"]
    export(run, "script")
    assert check(run).holds
    run.script.unlink()
    assert check(run).holds


def test_a_family_that_is_not_there_is_asked_for(run, monkeypatch):
    monkeypatch.delitem(FAMILIES, load_recipe(run.recipe).network.family)
    with pytest.raises(InputError, match=r"autorecipe\.verify"):
        check(run)


def test_new_seeds_confirm_a_gain_and_contradict_a_swapped_one(run):
    good, bad = good_and_bad(run)
    claim_that(run, bad, good)
    (honest,) = of_kind(check(run, "300epochs"), "decision")
    assert honest.verdict == "holds"
    claim_that(run, good, bad)
    (forged,) = of_kind(check(run, "300epochs"), "decision")
    assert forged.verdict == "does not hold"
    assert forged.numbers["effect"] == pytest.approx(-honest.numbers["effect"], abs=0.2)
    assert forged.numbers["p_better"] < 0.03


def test_a_rejection_is_contradicted_by_a_gain(run):
    good, bad = good_and_bad(run)
    claim_that(run, bad, good, verdict="rejected")
    found = check(run, "300epochs")
    assert of_kind(found, "decision")[0].verdict == "does not hold"
    assert not found.holds


def test_a_claim_between_equals_stays_undecided_with_all_looks(run):
    good, _ = good_and_bad(run, steps=20)
    same = run.save_recipe(replace(run.load_recipe(good), {"training.seed": 77}))
    claim_that(run, good, same)
    (claim,) = of_kind(check(run, "2000epochs"), "decision")
    assert claim.verdict in ("not decided", "holds")  # both have the same seeds: no effect at all
    assert claim.numbers["num_seeds"] == LOOKS[-1]
    assert claim.numbers["effect"] == 0


UNDECIDED = "not decided: kept the smaller"


def test_a_decision_that_claims_nothing_is_compared_and_neither_holds_nor_fails(run, capsys):
    good, bad = good_and_bad(run)
    claim_that(run, bad, good, verdict=UNDECIDED)
    found = check(run, "300epochs")
    row = found.claims[-1]
    assert (row.kind, row.verdict, row.tolerance) == ("decision", "no claim", "no claim was made")
    assert row.numbers["effect"] > 0.1
    assert row.numbers["p_better"] > 0.97
    assert row.found.startswith(f"+{row.numbers['effect']:.3g} (")
    assert row.found.endswith(f"{LOOKS[0]} seeds")  # they have decided
    assert found.holds
    assert found.count("holds") == sum(c.verdict == "holds" for c in found.claims[:-1])
    claim_that(run, good, bad, verdict=UNDECIDED)
    assert command(["verify", str(run.path), "--budget", "300epochs", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["holds"] is True
    assert told["claims"][-1]["verdict"] == "no claim"
    assert told["claims"][-1]["numbers"]["p_better"] < 0.03


def test_decisions_that_claim_nothing_have_what_the_claims_leave_of_the_budget(run):
    good, bad = good_and_bad(run)
    claim_that(run, bad, good)
    (claimed,) = load_decisions(run)
    save_decisions(run, [replace_record(claimed, verdict=UNDECIDED), claimed])
    sign_again(run)
    needs = [c.needs for c in check(run, "1epochs").claims if c.kind in ("decision", "retraining")]
    rows = check(run, f"{needs[0] + needs[1] + 1:.0f}epochs").claims
    assert [(c.numbers["decision"], c.verdict) for c in rows if c.kind == "decision"] == [(2, "holds"), (1, "no claim")]
    assert rows[-1].found == ""
    enough = rows[-1].reason.rsplit(" ", 1)[1]
    assert check(run, enough).claims[-1].found


def test_baselines_come_before_the_decisions_that_claim_nothing(run, monkeypatch):
    good, bad = good_and_bad(run)
    claim_that(run, bad, good, verdict=UNDECIDED)
    before = []
    monkeypatch.setattr(verifying, "_check_baselines", lambda session, *_: before.extend(session.unclaimed))
    (after,) = of_kind(check(run, "300epochs"), "decision")
    assert [row.found for row in before] == [""]
    assert after.found


def test_a_decision_between_a_recipe_and_itself_is_not_compared(made):
    decision = load_decisions(made)[0]
    same = replace_record(decision, verdict=UNDECIDED, candidate=decision.incumbent)
    other = replace_record(decision, verdict=UNDECIDED, candidate="other")
    rejected = replace_record(other, verdict="rejected", effect=-0.1)
    unmeasured = replace_record(other, verdict="adopted on the prior: not decided", effect=None)
    assert without_claim([same, other, rejected, unmeasured]) == [1, 3]


def test_new_seeds_are_none_of_the_runs_own():
    assert FIRST_SEED >= MOST_SEEDS


def test_the_budget_in_epochs_is_kept_and_deterministic(run):
    good, bad = good_and_bad(run)
    claim_that(run, bad, good)
    asked = {}
    for budget in ("1epochs", "80epochs", "400epochs"):
        found = check(run, budget)
        assert found.spent_epochs <= float(budget.removesuffix("epochs"))
        asked[budget] = found
    (little,) = of_kind(asked["1epochs"], "decision")
    assert little.verdict == "not checked"
    enough = little.reason.rsplit(" ", 1)[1]
    assert enough.endswith("epochs")
    assert "--budget" in little.reason
    again = check(run, enough)
    assert not of_kind(again, "retraining")[0].reason
    assert of_kind(again, "decision")[0].verdict != "not checked"
    assert again.claims == check(run, enough).claims


def test_a_time_that_is_too_short_is_told_with_one_that_is_not(run):
    found = check(run, "1.01s")
    late = [c for c in found.claims if c.verdict == "not checked"]
    assert late
    assert all("--budget" in c.reason for c in late if c.kind in ("data", "score", "retraining"))


def test_the_recipe_trained_again_reaches_the_score(run):
    found = check(run, "200epochs")
    (claim,) = of_kind(found, "retraining")
    assert claim.verdict == "holds"
    assert claim.numbers["seed"] != load_recipe(run.recipe).training.seed
    low, high = claim.numbers["interval"]
    assert low <= claim.numbers["stated"] <= high
    assert found.test_reads == 2


def test_a_score_that_the_recipe_does_not_reach_is_found(run):
    """Weights trained with a good recipe, told to be those of one that learns nothing."""
    recipe = replace(load_recipe(run.recipe), {"optimizer.lr": 1e-7})
    run.recipe.write_text(dump_yaml(recipe))
    change_json(run.summary, recipe_digest=recipe.digest)
    sign_again(run)
    assert failed(check(run, "200epochs")) == ["retraining"]


def test_data_that_was_changed_or_moved(tmp_path):
    random = np.random.default_rng(0)
    rows = [f"{a:.3f},{b:.3f},{'yes' if a + b > 0 else 'no'}" for a, b in random.normal(size=(120, 2))]
    table = tmp_path / "t.csv"
    table.write_text("\n".join(["a,b,label", *rows]) + "\n")
    made = search_small(tmp_path / "run", source=str(table), target="label", budget="8epochs")
    moved = tmp_path / "elsewhere.csv"
    table.rename(moved)
    with pytest.raises(InputError, match="--data PATH"):
        check(made)
    assert check(made, source=str(moved)).holds
    moved.write_text("\n".join(["a,b,label", "9.0,9.0,no", *rows[1:]]) + "\n")
    found = check(made, source=str(moved))
    assert failed(found) == ["data"]
    assert {c.verdict for c in found.claims if c.kind in ("score", "ledger", "retraining")} == {"not checked"}


def test_a_run_of_arrays_is_verified_from_python(tmp_path):
    data = small_digits(200)
    made = search_small(tmp_path / "run", data=data, budget="4epochs")
    with pytest.raises(InputError, match=r"autorecipe\.verify\(run, data=\(X, y\)\)"):
        check(made)
    found = autorecipe.verify(made.path, "1epochs", data=data)
    assert found.holds
    assert of_kind(found, "score")[0].numbers["stated"] == read_json(made.summary)["scores"]["test"]
    assert failed(autorecipe.verify(made.path, "1epochs", data=(255 - data[0], data[1]))) == ["data"]


def test_a_metric_that_is_a_function_is_wanted_again(tmp_path):
    def share_right(y_true, y_pred):
        return float(np.mean(y_true == y_pred))

    made = autorecipe.search(
        "iris", "8epochs", metric=share_right, out=tmp_path / "run", checks=False, baselines=False, threads=1
    )
    with pytest.raises(InputError, match="metric=share_right"):
        autorecipe.verify(made.path, "1epochs")
    assert autorecipe.verify(made.path, "1epochs", metric=share_right).holds


def test_a_run_that_another_process_writes_is_refused(run):
    with locked(run), pytest.raises(InputError, match="another process is working"):
        check(run)
    with reading(run):
        assert check(run).holds  # two may read


def test_a_copy_without_its_lock_can_be_read(run):
    (run.path / ".lock").unlink()
    assert check(run).holds
    assert not (run.path / ".lock").exists()


def test_a_run_that_was_killed_has_no_checksums_yet(run):
    run.checksums.unlink()
    run.event("start", run=str(run.path), resumed=True)
    change_json(run.summary, status="interrupted", scores__test=None, metrics={"test": {}})
    found = check(run)
    assert found.holds
    assert of_kind(found, "files")[0].verdict == "not checked"
    assert of_kind(found, "retraining")[0].reason == "no test score is stated"


def test_a_run_without_a_model_is_refused(made, tmp_path):
    empty = RunDir(tmp_path / "run")
    empty.path.mkdir()
    shutil.copy(made.settings, empty.settings)
    with pytest.raises(InputError, match="autorecipe resume"):
        check(empty)


def test_settings_that_cannot_be_are_refused(run):
    change_json(run.settings, seed=-1)
    with pytest.raises(InputError, match="--seed -1"):
        check(run)


def test_what_was_checked_stands_when_the_user_stops(run):
    good, bad = good_and_bad(run)
    claim_that(run, bad, good)
    asked = []

    def stop():
        asked.append(1)
        if len(asked) > 40:
            raise Stopped("stopped by Ctrl-C")

    found = check(run, "2000epochs", stop=stop)
    assert found.stopped
    assert of_kind(found, "files")[0].verdict == "holds"
    assert [c.reason for c in found.claims if c.kind == "retraining"] == ["stopped"]


def test_gains_come_before_the_other_claims(made):
    decisions = load_decisions(made)
    first, others = by_importance(decisions)
    assert not set(first) & set(others)
    assert all(decisions[place].p_better >= 0.97 for place in first)


def test_resume_takes_the_checksums_of_a_finished_run_away_until_it_ends_again(run, resumed):
    before = read_json(run.checksums)
    resumed(run.path, "+8epochs")
    assert read_json(run.checksums) != before
    assert check(run).holds
