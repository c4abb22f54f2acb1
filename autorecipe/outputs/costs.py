"""What it takes to train recipes of a run again, by what the run has measured of their shapes and trials."""

import statistics
from collections.abc import Sequence

from autorecipe.errors import InputError
from autorecipe.recipe import Recipe, from_dict
from autorecipe.rundir import RunDir, read_json, read_lines
from autorecipe.search.trials import parts_of
from autorecipe.search.workbench import Shape, Workbench, shape_path
from autorecipe.training.cohort import cohort_key
from autorecipe.training.cohort_size import alone_to_group


def seconds_of(bench: Workbench, run: RunDir, sides: Sequence[Recipe], seeds: int) -> float:
    """Seconds that so many new seeds of recipes took when the run was made, as far as it tells; else 0."""
    members, further = together(bench, sides)
    alone = [seconds_alone(bench, run, side) for side in sides]
    if members == 1:
        return seeds * sum(alone)
    one = len({cohort_key(side) for side in sides}) == 1
    programs = [(seeds * len(sides), max(alone))] if one else [(seeds, seconds) for seconds in alone]
    groups = [(part, seconds) for count, seconds in programs for part in parts_of(range(count), members)]
    return sum(seconds * alone_to_group(len(part), further) for part, seconds in groups)


def seconds_alone(bench: Workbench, run: RunDir, recipe: Recipe) -> float:
    """Seconds that a run of a recipe alone took, as far as its shape or the median trial tells; else 0."""
    shape = shape_of(bench, recipe)
    if shape is not None and shape.step_seconds:
        longer = (recipe.training.batch_size / bench.space_batch) ** 0.9
        return float(recipe.training.steps * shape.step_seconds * longer)
    return recipe.training.steps * _seconds_of_step(run)


def _seconds_of_step(run: RunDir) -> float:
    """The median trial's seconds for a step; 0 where there is no trial."""
    rows = [row for row in read_lines(run.trials) if isinstance(row, dict) and not row.get("reused")]
    known = [row["seconds"] / row["steps"] for row in rows if row.get("seconds") and row.get("steps")]
    return float(statistics.median(known)) if known else 0.0


def shape_of(bench: Workbench, recipe: Recipe) -> Shape | None:
    """The facts of a recipe's shape that the run has measured, if it tells them."""
    path = shape_path(bench, recipe)
    try:
        shape = from_dict(Shape, read_json(path)) if path.exists() else None
    except InputError:
        return None
    assert shape is None or isinstance(shape, Shape)
    return shape


def shapes_of(bench: Workbench, sides: Sequence[Recipe]) -> list[Shape]:
    """The facts of recipes' shapes, as far as the run tells them."""
    found = [shape_of(bench, side) for side in sides]
    return [shape for shape in found if shape is not None]


def together(bench: Workbench, sides: Sequence[Recipe]) -> tuple[int, float]:
    """How many runs of these recipes train at once, and what each further one adds to a step."""
    shapes = shapes_of(bench, sides)
    if len(shapes) < len(sides) or not bench.hardware.cohorts:
        return 1, 1.0
    return min(shape.members for shape in shapes), max(shape.further_member for shape in shapes)
