"""The report's figures of each question, shown by Optuna's dashboard with its study."""

import re
import tempfile
from dataclasses import replace
from pathlib import Path

from markupsafe import Markup

from autorecipe.outputs.report import evidence, first
from autorecipe.outputs.report.facts import Facts, read_facts, text
from autorecipe.outputs.report.page import stylesheet
from autorecipe.rundir import RunDir, locked, read_mapping


def attach_figures(run: RunDir) -> int:
    """Keep the figures of each decision with its study; done again, they take the place of the old ones.

    Returns:
        How many there are.

    Raises:
        InputError: another process works on the run, or a file of it is damaged.
    """
    with locked(run):
        return _attach(read_facts(run))


def attach_newest(run: RunDir) -> None:
    """Keep the figures of the last decision with its study; the caller holds the run's lock (`rundir.locked`).

    Raises:
        InputError: a file of the run is damaged.
    """
    facts = read_facts(run)
    _attach(replace(facts, decisions=facts.decisions[-1:]))


def _attach(facts: Facts) -> int:
    run, figures, storage = facts.run, figures_of(facts), text(facts.settings.get("storage"))
    if not figures or not (storage or run.journal.exists()):
        return 0
    from autorecipe.search.studies import attach_figure, open_storage

    with tempfile.TemporaryDirectory() as folder:
        opened = open_storage(run, storage or None)
        for study, own in figures.items():
            for name, svg in own.items():
                file = Path(folder) / f"{name}.svg"
                file.write_text(standalone(svg), encoding="utf-8")
                attach_figure(opened, study, file, run)
    return sum(map(len, figures.values()))


def figures_of(facts: Facts) -> dict[str, dict[str, Markup]]:
    """Study -> name -> SVG."""
    curves = {card["digest"]: card["svg"] for card in evidence.curves(facts)}
    found: dict[str, dict[str, Markup]] = {}
    for step in first.path(facts)["steps"]:
        row = step["row"]
        dots = evidence.decision(facts, step)["dots"]
        figures = {
            "fresh-seeds": dots[0] if dots else None,
            "fresh-seeds-log-loss": dots[1] if len(dots) > 1 else None,
            "training-curve": curves.get(text(row.get("chosen"))),
            **_learning_rates(facts, text(row.get("study"))),
        }
        found[text(row.get("study"))] = {name: svg for name, svg in figures.items() if svg}
    return {study: figures for study, figures in found.items() if study and figures}


def _learning_rates(facts: Facts, study: str) -> dict[str, Markup]:
    """The learning-rate curve of each network shape that the study's trials had, by the network's name."""
    from autorecipe.search.workbench import shape_key

    recipes = [facts.recipe_of(trial.get("recipe")) for trial in facts.trials if trial.get("study") == study]
    keys = dict.fromkeys(shape_key(recipe) for recipe in recipes if recipe is not None)
    files = [path for key in keys if (path := facts.run.artifacts / "shapes" / f"{key}.json").exists()]
    own = replace(facts)
    vars(own)["shapes"] = [read_mapping(path) for path in files]  # the cached property: these shapes alone
    found: dict[str, Markup] = {}
    for card in evidence.learning_rates(own)["cards"]:
        name = re.sub(r"[^\w.-]+", "-", f"learning-rate {card['network']}")
        found[name if name not in found else f"{name}-{len(found)}"] = card["svg"]
    return found


def standalone(svg: Markup) -> str:
    """A figure as a file of its own, light or dark as the reader's system is."""
    style = f"<style>{stylesheet()} svg {{ background: var(--panel); }}</style>"
    return str(svg).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace(">", f">{style}", 1)
