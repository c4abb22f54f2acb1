"""The figures that a question's study keeps for the dashboard."""

from xml.etree import ElementTree

import optuna
import pytest
from helpers import Heard
from optuna.artifacts import get_all_artifact_meta
from run_helpers import change_json

import autorecipe
from autorecipe.errors import InputError
from autorecipe.outputs.report import attach_figures
from autorecipe.outputs.report.facts import read_facts
from autorecipe.outputs.report.study_figures import figures_of, standalone
from autorecipe.rundir import RunDir, locked, read_json, read_lines
from autorecipe.search.studies import open_storage

SMALL = {"max_width": 16, "max_depth": 1, "threads": 1, "baselines": False, "checks": False}


class Killed(Exception):
    """What ends a search as a signal that nobody handles would."""


def names_in(run, study):
    """The figures that the dashboard shows with a study."""
    metas = get_all_artifact_meta(optuna.load_study(study_name=study, storage=open_storage(run, None)))
    assert all(meta.mimetype == "image/svg+xml" for meta in metas)
    assert all((run.artifacts / meta.artifact_id).is_file() for meta in metas)
    return sorted(meta.filename for meta in metas)


def killed_search(place, **settings):
    """A search that ends where its second question begins; what it said."""
    heard = Heard()

    def say(kind, **facts):
        heard(kind, **facts)
        if kind == "question" and facts["number"] == 2:
            raise Killed

    with pytest.raises(Killed):
        autorecipe.search("iris", "60epochs", out=place, say=say, **SMALL, **settings)
    return heard


def test_each_study_keeps_its_figures_once(copied):
    run = copied("table")
    count = attach_figures(run)
    assert count == attach_figures(run) > 0
    found = []
    for row in read_json(run.decisions):
        names = names_in(run, row["study"])
        assert "training-curve.svg" in names
        assert ("fresh-seeds.svg" in names) == bool(row["scores"])
        found += names
    assert len(found) == count


def test_a_decisions_figures_are_there_while_the_search_goes_on(tmp_path):
    heard, run = killed_search(tmp_path / "run"), RunDir(tmp_path / "run")
    [decision] = read_json(run.decisions)
    assert not run.report.exists()
    assert "fresh-seeds.svg" in names_in(run, decision["study"])
    assert not [fact for fact in heard.of("note") if "figures" in fact["text"]]


def test_a_search_without_outputs_draws_nothing(tmp_path):
    killed_search(tmp_path / "run", outputs=False)
    run = RunDir(tmp_path / "run")
    assert names_in(run, read_json(run.decisions)[0]["study"]) == []


def test_a_figure_that_cannot_be_drawn_is_a_note(tmp_path, monkeypatch):
    monkeypatch.setattr("autorecipe.outputs.report.study_figures.figures_of", lambda facts: 1 / 0)
    heard = killed_search(tmp_path / "run")
    assert "the figures of this decision could not be made: ZeroDivisionError" in heard.of("note")[0]["text"]


def test_a_study_shows_the_learning_rates_of_each_network_it_tried(copied):
    run = copied("table")
    rates = {"lrs": [1e-3, 1e-2], "losses": [1.0, 0.9], "lowest": [0.9, 0.8], "highest": [1.1, 1.0]}
    for path in (run.artifacts / "shapes").iterdir():  # as measured where there is time for it
        change_json(path, **{f"lr_range__{key}": value for key, value in rates.items()})
    attach_figures(run)
    tried = {}
    for event in (row for row in read_lines(run.log) if row["event"] == "trial_start"):
        tried.setdefault(event["study"], set()).add(event["network"])
    assert max(map(len, tried.values())) > 1
    for study, networks in tried.items():
        wanted = sorted(f"learning-rate-{network.replace(' ', '-')}.svg" for network in networks)
        assert [name for name in names_in(run, study) if name.startswith("learning")] == wanted


def test_a_figure_stands_alone(copied):
    for figures in figures_of(read_facts(copied("table"))).values():
        for name, svg in figures.items():
            text = standalone(svg)
            root = ElementTree.fromstring(text)
            assert root.tag == "{http://www.w3.org/2000/svg}svg", name
            assert "prefers-color-scheme: dark" in text
            assert "--ink:" in text


def test_a_run_that_somebody_works_on_is_left_alone(copied):
    run = copied("table")
    with locked(run), pytest.raises(InputError, match="another process"):
        attach_figures(run)
