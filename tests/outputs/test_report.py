"""`report.html`: every part of it, of runs of every task, whole and damaged; nothing in it is run or fetched."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from conftest import HOSTILE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from autorecipe.cli.main import run as command
from autorecipe.errors import InputError
from autorecipe.outputs.report import write_report
from autorecipe.outputs.report.facts import read_facts
from autorecipe.outputs.report.page import page
from autorecipe.outputs.wording import number
from autorecipe.recipe import dump_yaml, load_recipe, replace
from autorecipe.results import in_words
from autorecipe.rundir import RunDir, read_json, write_json, write_text

KINDS = ("image", "table", "regression", "multilabel")
VOID = {"meta", "link", "img", "br"}


class Outline(HTMLParser):
    """Elements with the names of their attributes, headings, addresses, and what a reader sees."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.levels: list[int] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.elements.append((tag, tuple(sorted(values))))
        self.ids += [values["id"] or ""] if "id" in values else []
        self.addresses += [
            values[key] or "" for key in ("src", "href", "data", "action", "xlink:href") if key in values
        ]
        if re.fullmatch("h[1-6]", tag):
            self.levels.append(int(tag[1]))
        if tag == "img":
            assert values["alt"]
        if tag == "svg":
            assert values.get("aria-hidden") == "true" or (values.get("role") == "img" and values.get("aria-label"))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def check_page(html: str) -> Outline:
    """What must hold of every page: well formed, self-contained, nothing that runs, headings in order."""
    found = Outline(html)
    assert found.open == []
    assert len(html) < 600_000
    tags = {tag for tag, _ in found.elements}
    assert not tags & {"script", "iframe", "object", "embed", "form", "base", "foreignobject"}
    assert not [name for _, names in found.elements for name in names if name.startswith("on")]
    assert all(address.startswith(("#", "data:")) for address in found.addresses)
    assert {address[1:] for address in found.addresses if address.startswith("#")} <= set(found.ids)
    assert len(found.ids) == len(set(found.ids))
    assert not re.search(r"url\(|@import|https?:", html.split("</style>")[0])
    assert found.levels[0] == 1
    assert found.levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(found.levels, found.levels[1:], strict=False))
    assert "nan" not in re.findall(r'="([^"]*)"', html)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_every_task(kind, copied):
    run = copied(kind)
    found = check_page(write_report(run).read_text())
    summary, decisions = read_json(run.summary), read_json(run.decisions)
    assert f"{summary['metric']} on test" in found.text
    for row in decisions:
        assert row["question"].replace("->", "→") in found.text
        old, new = (run.load_recipe(row[who]).network for who in ("incumbent", "candidate"))
        assert in_words(row["verdict"], old == new) in found.text
        assert row["reason"] in found.text
    assert summary["weights_sha256"] in found.text
    assert summary["data_digest"] in found.text
    assert all(check["name"] in found.text for check in summary["checks"])


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("image", ("Confusion matrix", "The diagonal is right", "Expected calibration error", "taken for")),
        ("table", ("Confusion matrix", "Expected calibration error")),
        ("regression", ("Predicted and true", "Residuals", "Half of the predictions are within", "off by -59.5")),
        ("multilabel", ("Each label", "precision", "Expected calibration error")),
    ],
)
def test_predictions_and_examples(kind, words, enriched):
    run = enriched(kind)
    html = write_report(run).read_text()
    found = check_page(html)
    for word in (
        *words,
        "outputs differ by 2e-07 at most, 100 % of the predictions are the same",
        "The worst mistakes",
        "Typical examples",
        "trained again, other seeds",
        "Foresight",
        "Audit",
        "with 2 h 0 min",
        "Raced again",
    ):
        assert word in found.text
    assert ("data:image/png;base64," in html) == (kind == "image")
    assert "What this folder does not hold" not in found.text


def test_the_first_screen(enriched):
    run = enriched("image")
    summary = read_json(run.summary)
    summary |= {"metric": "accuracy", "scores": {"search": 0.99, "confirm": 0.98, "test": 0.95}}
    summary["baselines"] = {"majority": 0.1, "linear": 0.9}
    write_json(run.summary, summary)
    text = Outline(page(read_facts(run))).text
    tested = len(read_json(run.splits)["test"])
    assert f"{round(0.05 * tested)} of {tested} test examples are wrong." in text
    assert "Against the best baseline (linear, 0.9000): 50\xa0% fewer errors." in text.replace("50 %", "50\xa0%")
    assert "residual network" in text
    assert "AdamW, learning rate" in text
    summary["baselines"] = {"linear": 0.97}
    write_json(run.summary, summary)
    assert "It is no better than the best baseline (linear, 0.9700)" in Outline(page(read_facts(run))).text


@pytest.mark.parametrize("kept", range(6))
def test_any_part_of_a_run_has_a_page(kept, copied):
    """The more is there, the more is shown; what is not is named."""
    run = copied("table")
    names = (
        "summary.json",
        "recipe.yaml",
        "decisions.json",
        "trials.jsonl",
        "log.jsonl",
        "artifacts",
        "preprocess.json",
    )
    for name in names[kept:]:
        path = run.path / name
        path.rename(run.path.parent / f"{name}.away")
    found = check_page(page(read_facts(run)))
    missing = found.text.split("What this folder does not hold")[1]
    for index, name in enumerate(names[:4]):
        assert (f"({name})" in missing) == (index >= kept)
    assert ("There is no score yet" in found.text) == (kept == 0)


def test_a_run_that_has_only_begun(tmp_path):
    run = RunDir(tmp_path)
    write_json(run.settings, {"format": 1, "source": "iris", "budget": "60s"})
    found = check_page(page(read_facts(run)))
    assert "This run is unfinished" in found.text
    assert "60s given" in found.text


def test_an_interrupted_run(copied):
    run = copied("image")
    summary = read_json(run.summary)
    write_json(
        run.summary,
        {**summary, "status": "interrupted", "test_reads": 0, "scores": {"search": 0.5, "confirm": None, "test": None}},
    )
    found = check_page(page(read_facts(run)))
    assert "This run is interrupted" in found.text
    assert "The test split has not been read" in found.text
    write_json(run.summary, {**read_json(run.summary), "test_reads": 1})
    assert "The metric says nothing of the test split" in check_page(page(read_facts(run))).text
    assert "not in the log" not in found.text


@pytest.mark.parametrize(
    "name",
    ["summary.json", "decisions.json", "preprocess.json", "settings.json", "state.json", "recipe.yaml",
     "artifacts/checks.json", "artifacts/examples.json", "artifacts/foresight.json", "artifacts/test.safetensors",
     "artifacts/finish_curve.json", "artifacts/shapes/x.json"],
)  # fmt: skip
def test_damaged_files_are_named(name, copied, capsys):
    run = copied("table")
    path = run.path / name
    path.write_text('{"half": [1, 2')
    with pytest.raises(InputError, match=re.escape(Path(name).name)):
        write_report(run)
    assert not (run.path / "report.html").exists()
    assert command(["report", str(run.path)]) == 2
    assert "Traceback" not in capsys.readouterr().err


ODD = (None, 5, "text", [], {}, [None], {"a": None}, float("1e308"), True, [[1, 2], "x"])


@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_values_of_another_kind_count_as_missing(odd, enriched):
    """Whole JSON whose values are not what they should be is shown as far as it goes."""
    run = enriched("table")
    for path in (run.summary, run.preprocess, run.state):
        whole = read_json(path)
        for first in (0, 1):  # every second key: so is a wrong one beside a right one
            write_json(path, {**whole, **dict.fromkeys(list(whole)[first::2], odd)})
            check_page(page(read_facts(run)))
        write_json(path, whole)
    rows = read_json(run.decisions)
    for first in (0, 1):
        write_json(run.decisions, [{**row, **dict.fromkeys(list(row)[first::2], odd)} for row in rows])
        check_page(page(read_facts(run)))


def test_a_hostile_class_is_text(enriched):
    run = enriched("image", HOSTILE)
    html = write_report(run).read_text()
    found = check_page(html)
    assert "alert(1)" in found.text
    assert "<script" not in html.lower()


@pytest.fixture
def renamed(enriched):
    run = enriched("table", "plain")
    return run, {
        path: path.read_text() for path in (run.summary, run.preprocess, run.decisions, run.artifacts / "examples.json")
    }


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.text(min_size=1, max_size=30).map(lambda s: f"n{s}") | st.sampled_from([
    f"n{HOSTILE}", "n\"><img src=x onerror=alert(1)>", "n</style></title><svg onload=alert(1)>", "n{{7*7}}{% raw %}",
    "n' onmouseover='alert(1)", "n&lt;b&gt;", "n]]><!--", "n\x00\ud800\u202e",
]))  # fmt: skip
def test_names_never_become_markup(name, renamed):
    """A page with any names has the elements and attributes of a page with plain ones."""
    run, texts = renamed
    pages = []
    for word in ("plain", name):
        for path, text in texts.items():
            data = json.loads(text)
            if path == run.summary:
                data |= {"dataset": word, "network": word, "metric": word, "environment": {word: word}}
                data["score_interval"]["reason"] = word
            if path == run.preprocess:
                data["info"] |= {"classes": [f"{word}{i}" for i in range(3)], "target": word, "metric": word}
            if path == run.decisions:
                data = [{**row, "question": word, "verdict": word, "reason": word, "diagnosis": word} for row in data]
            if path.name == "examples.json":
                data = [
                    {**row, "name": word, "target": word, "predicted": f"{word}!", "values": {word: word}}
                    for row in data
                ]
            write_json(path, data)
        pages.append(Outline(page(read_facts(run))))
    assert pages[0].elements == pages[1].elements


@pytest.mark.parametrize(
    "name", ["../../summary.json", "/etc/hostname", "examples/none.png", "..", "\0.png", "a" * 5000]
)
def test_images_are_those_of_the_folder(name, enriched):
    run = enriched("image")
    (run.path / "secret.png").write_bytes(b"secret")
    for path in (name, "../secret.png"):
        write_json(run.artifacts / "examples.json", [{"kind": "mistake", "name": "x", "target": "1", "image": path}])
        assert "data:image" not in page(read_facts(run))


def test_the_command(copied, capsys):
    run = copied("table")
    assert command(["report", str(run.path)]) == 0
    assert capsys.readouterr().out.strip().endswith("report.html")
    first = (run.path / "report.html").read_text()
    assert command(["report", str(run.path)]) == 0
    assert (run.path / "report.html").read_text() == first  # the same folder, the same page
    assert command(["report", str(run.path / "none")]) == 2


def test_it_needs_no_torch(copied):
    """Made from the folder alone: neither the data nor the network is built."""
    import subprocess
    import sys

    code = "import sys; from autorecipe.cli.main import run; sys.exit(run(sys.argv[1:]) or 'torch' in sys.modules)"
    words = [sys.executable, "-c", code, "report", str(copied("table").path)]
    assert subprocess.run(words, check=False).returncode == 0


def test_nobody_knows_how_far_a_metric_without_a_best_value_is_from_it(enriched):
    run = enriched("image")
    summary = read_json(run.summary) | {"metric": "python:profit", "best": None, "baselines": {"linear": 0.2}}
    write_json(run.summary, summary | {"scores": {"search": 0.3, "confirm": 0.3, "test": 0.3}})
    found = check_page(write_report(run).read_text())
    assert "0.1000 better than the best baseline" in found.text
    assert "perfect score" not in found.text
    assert "1 - python:profit" not in found.text
    write_json(run.summary, read_json(run.summary) | {"best": 0.5})
    assert "33\N{NO-BREAK SPACE}% nearer to a perfect score" in write_report(run).read_text()


def test_what_is_said_of_the_smaller_network_and_of_the_search_score(enriched):
    run = enriched("image")
    smaller = {"recipe": "0" * 12, "network": "resnet 16", "num_params": 10, "question": "width 8 -> 16"}
    fresh = {"search": 0.8, "fresh_seeds": 0.9, "test": 0.9, "num_models": 2}
    undecided, worse = "adopted on the prior: not decided", "adopted on the prior: worse in short trials"
    measured = {"effect": 0.01, "interval": [-0.1, 0.1], "verdict": undecided}
    better = "with 10 parameters was better in short trials, beyond noise"
    for facts, words in (
        ({"effect": None, "interval": None, "within_noise": None, "verdict": undecided},
         "was not measured beside the larger network: at 'width 8 → 16' the larger one was carried on without a claim"),
        ({"effect": -0.2, "interval": [-0.3, -0.1], "verdict": worse}, better),
        ({"effect": -0.2, "interval": [-0.3, -0.1], "within_noise": False, "p_better": 0.0, "verdict": worse}, better),
        (measured | {"within_noise": False, "p_better": 0.02, "judged_by": "log_loss", "verdict": worse}, better),
        (measured | {"within_noise": False, "p_better": 0.96}, "was worse in short trials, but not surely enough"),
        (measured | {"within_noise": True, "p_better": 0.6}, "may be as good, the difference in short trials"),
        (measured, "may be as good, the difference in short trials is within noise"),
    ):  # fmt: skip
        summary = read_json(run.summary)
        summary["accounts"] |= {"smaller": smaller | facts, "fresh_seeds": fresh}
        write_json(run.summary, summary)
        found = check_page(write_report(run).read_text())
        assert words in found.text
        assert "Which is better at the final training's length is not known." in found.text
        assert (", judged by log loss" in found.text) == ("judged_by" in facts)
        assert "less than fresh seeds gave" in found.text
        assert "tends to flatter" not in found.text


@pytest.mark.parametrize("kind", ["image", "regression"])
def test_the_curve_of_the_final_training_comes_first(kind, copied):
    run = copied(kind)
    curve, summary = read_json(run.finish_curve), read_json(run.summary)
    last, peak = curve["points"][-1], max(point["lr"] for point in curve["points"])
    heading = f"Final training: {summary['network']}"
    html = write_report(run).read_text()
    found = check_page(html)
    assert html.index(heading) < html.index(": losses over the steps")  # those of the trials
    assert f"{last['step']:,} steps (" in found.text.split(heading)[1]
    assert f"dashed: learning rate, {number(peak)} at its peak" in found.text
    name = {"image": "log_loss", "regression": "rmse"}[kind]
    on_test = f"{name.replace('_', ' ')} {number(summary['metrics']['test'][name])} on test"
    assert f"Diagnosis: training loss {number(last['train_loss'])} at the end" in found.text
    assert f"where the learning rate began to fall; {on_test}" in found.text
    assert "of the planned length" not in found.text
    write_json(run.finish_curve, curve | {"points": curve["points"][:-8]})
    assert re.search(r"stopped at \d+\s% of the planned length", check_page(page(read_facts(run))).text)
    for other in ({"recipe": "0" * 12}, {"points": []}, {"points": [None, {"step": 1}]}):  # of a model of before
        write_json(run.finish_curve, curve | other)
        assert heading not in check_page(page(read_facts(run))).text
    run.finish_curve.unlink()
    assert heading not in check_page(page(read_facts(run))).text


def test_scores_after_reload_and_export_say_what_they_are_over(enriched):
    run = enriched("image")
    summary, tested = read_json(run.summary), len(read_json(run.splits)["test"])
    export = {"score_before": 0.8984, "examples": 256, "max_difference": 0.0031, "same_predictions": 1.0}
    summary["identity"] |= {"score_after_reload": 0.9147, "score_after_export": 0.8984, "export": export}
    write_json(run.summary, summary)
    found = check_page(page(read_facts(run)))
    assert f"score after reload over all {tested} examples of test: 0.9147" in found.text
    assert "score after export over 256 examples of test: 0.8984 before export, 0.8984 after" in found.text
    kept = {"on": "val", "examples": 200, "score_before": 0.93, "score_after": 0.92, "max_difference": 0.25}
    write_json(run.summary, summary | {"identity": summary["identity"] | {"reload": kept}})
    words = "over 200 examples of val 0.9300 in memory, before it was saved, and 0.9200 loaded again; outputs differ by"
    assert words in check_page(page(read_facts(run))).text
    write_json(run.summary, summary)
    assert "fp32)" not in found.text
    write_text(run.recipe, dump_yaml(replace(load_recipe(run.recipe), {"training.precision": "bf16"})))
    words = "outputs differ by 0.0031 at most (the run predicts in bf16, ONNX in fp32)"
    assert words in check_page(page(read_facts(run))).text
    summary["identity"] |= {"score_after_export": None, "export": {"reason": "model.onnx has not been written"}}
    write_json(run.summary, summary)
    assert "score after export model.onnx has not been written" in check_page(page(read_facts(run))).text


def test_a_finding_shows_its_examples(enriched):
    run = enriched("image")
    Image.new("L", (8, 8), 200).save(run.artifacts / "copy.png")
    said = "3 images have the same pixels as another"
    run.event("finding", name="duplicates", found=said, done="they stay", otherwise="", warn=False)
    shown = {"name": "a/<b>.png", "row": 3, "target": HOSTILE, "split": "confirm", "image": "copy.png"}
    plain = page(read_facts(run))
    write_json(run.findings, [{"kind": "duplicates", "found": said, "examples": [shown]}])
    html = page(read_facts(run))
    found = check_page(html)
    assert html.count("data:image/png") == plain.count("data:image/png") + 1
    assert "a/<b>.png" in found.text.split(said)[1]
    assert "in confirm" in found.text.split(said)[1]
    write_json(run.findings, [{"kind": "other", "found": said, "examples": [shown]}, {"examples": 3}])
    assert page(read_facts(run)).count("data:image/png") == plain.count("data:image/png")


def test_one_sweep_has_no_band(copied):
    run = copied("image")
    lrs, losses = [0.001, 0.01, 0.1], [2.0, 1.0, 3.0]
    swept = {"suggestion": 0.01, "reason": "x", "lrs": lrs, "losses": losses, "race_lrs": [], "race_losses": []}
    for path in (run.artifacts / "shapes").glob("*.json"):
        path.unlink()
    for highest, words in ((losses, "Range test: one sweep, no band"), ([2.5, 1.5, 4.0], "the sweeps with their band")):
        shape = {"lr_range": swept | {"lowest": losses, "highest": highest}, "num_params": 9}
        write_json(run.artifacts / "shapes" / "x.json", shape)
        text = check_page(page(read_facts(run))).text
        assert words in text
        assert ("with their band" in text) == (highest != losses)


def test_the_first_screen_counts_what_was_measured_and_claimed(copied):
    run = copied("table")
    row = read_json(run.decisions)[0] | {"effect": 0.1, "interval": [0.05, 0.15], "num_seeds": 2}
    unmeasured = row | {
        "effect": None,
        "interval": None,
        "num_seeds": 0,
        "verdict": "adopted on the prior: not decided",
    }
    for verdicts, words in (
        (["adopted", "rejected"], "2 of 5 questions were measured on fresh seeds, 1 is a claim of a gain."),
        (["rejected"], "1 of 4 questions was measured on fresh seeds, none is a claim of a gain."),
        (["adopted", "kept on the prior: the gain is not expected to last"],
         "2 of 5 questions were measured on fresh seeds, 2 are claims of a gain."),
    ):  # fmt: skip
        write_json(run.decisions, [*(row | {"verdict": verdict} for verdict in verdicts), *[unmeasured] * 3])
        text = check_page(page(read_facts(run))).text
        assert text.index("The path taken") < text.index(words) < text.index("Each decision and its evidence")


def test_a_verdict_by_log_loss_says_so_beside_the_metric(enriched):
    run = enriched("image")
    rows = read_json(run.decisions)
    facts = {"effect": 0.001, "interval": [-0.01, 0.012], "p_better": 0.02, "loss_interval": [-0.06, -0.01]}
    rows[0] |= facts | {"judged_by": "log_loss", "num_seeds": 2, "num_examples": 400, "parts": 2, "held_out": "confirm"}
    write_json(run.decisions, rows)
    found = check_page(write_report(run).read_text())
    assert "judged by log loss, P(better) 0.02" in found.text
    assert "the confirm split, and parts of train left out for it" in found.text
