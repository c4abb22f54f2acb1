"""The report's figures of each question, shown by Optuna's dashboard with its study."""

import tempfile
from pathlib import Path

from markupsafe import Markup

from autorecipe.outputs.report import evidence, first
from autorecipe.outputs.report.facts import Facts, read_facts, text
from autorecipe.outputs.report.page import stylesheet
from autorecipe.rundir import RunDir, locked


def attach_figures(run: RunDir) -> int:
    """Keep the figures of each decision with its study; done again, they take the place of the old ones.

    Returns:
        How many there are.

    Raises:
        InputError: another process works on the run, or a file of it is damaged.
    """
    facts = read_facts(run)
    figures = figures_of(facts)
    storage = text(facts.settings.get("storage"))
    if not figures or not (storage or run.journal.exists()):
        return 0
    from autorecipe.search.studies import attach_figure, open_storage

    with locked(run), tempfile.TemporaryDirectory() as folder:
        opened = open_storage(run, storage or None)
        for study, own in figures.items():
            for name, svg in own.items():
                file = Path(folder) / f"{name}.svg"
                file.write_text(standalone(svg), encoding="utf-8")
                attach_figure(opened, study, file, run)
    return sum(map(len, figures.values()))


def figures_of(facts: Facts) -> dict[str, dict[str, Markup]]:
    """Study -> name -> SVG."""
    rates = {card["network"]: card["svg"] for card in evidence.learning_rates(facts)["cards"]}
    curves = {card["digest"]: card["svg"] for card in evidence.curves(facts)}
    found: dict[str, dict[str, Markup]] = {}
    for step in first.path(facts)["steps"]:
        row = step["row"]
        dots = evidence.decision(facts, step)["dots"]
        figures = {
            "fresh-seeds": dots[0] if dots else None,
            "fresh-seeds-log-loss": dots[1] if len(dots) > 1 else None,
            "learning-rate": rates.get(step["chosen"]),
            "training-curve": curves.get(text(row.get("chosen"))),
        }
        found[text(row.get("study"))] = {name: svg for name, svg in figures.items() if svg}
    return {study: figures for study, figures in found.items() if study and figures}


def standalone(svg: Markup) -> str:
    """A figure as a file of its own, light or dark as the reader's system is."""
    style = f"<style>{stylesheet()} svg {{ background: var(--panel); }}</style>"
    return str(svg).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1).replace(">", f">{style}", 1)
