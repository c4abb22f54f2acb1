"""Search a network for arrays from Python, and use what comes back.

    python examples/python_api.py [BUDGET]

BUDGET is a time such as 25s (the default), or epochs over all trials such as 20epochs.
"""

import sys
import tempfile
from pathlib import Path

from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

import autorecipe


def main(budget: str, folder: Path) -> None:
    """Search, look at the decisions, predict, load again."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    X_mine, X_new, y_mine, y_new = train_test_split(X, y, test_size=100, random_state=0, stratify=y)

    result = autorecipe.search((X_mine, y_mine), budget=budget, out=folder / "run")

    # What was asked, and what the answer rests on.
    for decision in result.decisions:
        effect = "not measured" if decision.effect is None else f"{decision.effect:+.4f} {result.summary['metric']}"
        print(f"{decision.question}: {decision.verdict} ({effect}, {len(decision.trials)} trials)")

    # The recipe: everything that it takes to train this model again.
    network = result.recipe.network
    print(f"network: {network.family}, {len(network.blocks)} blocks, width {network.width}")
    print(f"test {result.summary['metric']}: {result.summary['scores']['test']:.4f}")

    # Rows that the search has never seen.  The run's folder is all that is needed, in any later process.
    again = autorecipe.load(folder / "run")
    predictions = again.predict(X_new)
    print(f"right on {(predictions == y_new.astype(str)).sum()} of {len(y_new)} new rows")
    print(again.predict_table(X_new.head(3)))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(sys.argv[1] if len(sys.argv) > 1 else "25s", Path(temporary))
