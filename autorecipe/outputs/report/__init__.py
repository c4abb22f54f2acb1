"""`report.html`: one self-contained page that is made from a run's folder alone; its figures, for the studies."""

from autorecipe.outputs.report.page import write_report
from autorecipe.outputs.report.study_figures import attach_figures

__all__ = ["attach_figures", "write_report"]
