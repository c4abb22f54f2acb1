"""`report.html`: one self-contained page that is made from a run's folder alone."""

from autorecipe.outputs.report.page import write_report

__all__ = ["write_report"]
