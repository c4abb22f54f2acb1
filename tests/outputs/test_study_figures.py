"""The figures that a question's study keeps for the dashboard."""

from xml.etree import ElementTree

import optuna
import pytest
from optuna.artifacts import get_all_artifact_meta

from autorecipe.errors import InputError
from autorecipe.outputs.report import attach_figures
from autorecipe.outputs.report.facts import read_facts
from autorecipe.outputs.report.study_figures import figures_of, standalone
from autorecipe.rundir import locked, read_json
from autorecipe.search.studies import open_storage


def test_each_study_keeps_its_figures_once(copied):
    run = copied("table")
    count = attach_figures(run)
    assert count == attach_figures(run) > 0
    storage = open_storage(run, None)
    found = []
    for row in read_json(run.decisions):
        study = optuna.load_study(study_name=row["study"], storage=storage)
        metas = get_all_artifact_meta(study)
        names = {meta.filename for meta in metas}
        assert {"learning-rate.svg", "training-curve.svg"} & names
        assert ("fresh-seeds.svg" in names) == bool(row["scores"])
        assert all(meta.mimetype == "image/svg+xml" for meta in metas)
        assert all((run.artifacts / meta.artifact_id).is_file() for meta in metas)
        found += metas
    assert len(found) == count


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
