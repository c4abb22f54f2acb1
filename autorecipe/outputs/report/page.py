"""The page: every section's facts, put into the template."""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from autorecipe import __version__
from autorecipe.outputs.report import accounts, evidence, first, outcome
from autorecipe.outputs.report.facts import Facts, read_facts
from autorecipe.rundir import RunDir, write_text
from autorecipe.search.checksums import add_export

if TYPE_CHECKING:
    from jinja2 import Template

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
_UNSHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
"""Control characters, halves of characters, and marks that turn the direction of the text after them."""


def write_report(run: RunDir) -> Path:
    """Write RUN/report.html, made from the run's folder alone; pieces that are not there yet are named as missing.

    Raises:
        InputError: a file of the run is damaged.
    """
    write_text(run.report, page(read_facts(run)))
    add_export(run, run.report)
    return run.report


def page(facts: Facts) -> str:
    """The page as HTML."""
    return _UNSHOWN.sub("\ufffd", _template().render(sections(facts)))


@cache
def _template() -> "Template":
    """The page's template; every name that it prints is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2")


def stylesheet() -> Markup:
    """The page's styles, which its figures need as well."""
    return Markup((TEMPLATES / "report.css").read_text(encoding="utf-8"))


def sections(facts: Facts) -> dict[str, Any]:
    """What the template shows."""
    path = first.path(facts)
    return {
        "css": stylesheet(),
        "version": __version__,
        "name": facts.name,
        "run": facts.run.name,
        "task": facts.task,
        "metric": facts.metric,
        "result": first.result(facts),
        "recipe": first.recipe(facts),
        "path": path,
        "decisions": [evidence.decision(facts, step) for step in path["steps"]],
        "rates": evidence.learning_rates(facts),
        "final": evidence.final_curve(facts),
        "curves": evidence.curves(facts),
        "compute": evidence.compute(facts),
        "data": accounts.data(facts),
        "typical": outcome.examples(facts, "typical"),
        "mistakes": outcome.examples(facts, "mistake"),
        "predictions": outcome.predictions(facts),
        "metrics": accounts.metrics(facts),
        "accounts": accounts.accounts(facts),
        "receipt": accounts.receipt(facts),
        "checks": accounts.checks(facts),
        "environment": accounts.environment(facts),
        "identity": accounts.identity(facts),
        "missing": accounts.missing(facts),
    }
