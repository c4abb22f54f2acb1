"""Begin with a recipe that you know, in a search space of your own.

    python examples/from_recipe.py [BUDGET]

The search begins with the network and settings of the recipe instead of the smallest ones, and asks only
what the space says: here, how to regularise it.  On the command line:

    autorecipe search digits --from known.yaml --space careful.yaml
"""

import sys
import tempfile
from pathlib import Path

import autorecipe
from autorecipe.recipe import Block, Recipe, difference, dump_yaml, replace

KNOWN = replace(
    Recipe(),
    {
        "data.modality": "image",
        "data.resolution": 8,
        "data.channels": 1,
        "network.family": "resnet",
        "network.width": 16,
        "network.blocks": [Block(16), Block(32, stride=2)],
        "optimizer.weight_decay": 0.03,
        "training.batch_size": 64,
        "regularization.averaging": 0.02,
    },
)
"""A residual network of 16 channels; a `recipe.yaml` of an earlier run does as well."""

SPACE = """\
format: 1
modality: image
family: resnet
stages:
  small:
    vary: {lr_factor: {low: 0.25, high: 4.0, log: true}}
  regularize:
    vary:
      regularization.crop: [0, 1, 2]
      regularization.dropout: {low: 0.0, high: 0.3}
    known:
      - {regularization.crop: 1}
      - {regularization.crop: 1, regularization.dropout: 0.1}
"""
"""Only two stages; it does not grow."""


def main(budget: str, folder: Path) -> None:
    """Search from the recipe and show what became of it."""
    (folder / "known.yaml").write_text(dump_yaml(KNOWN))
    (folder / "careful.yaml").write_text(SPACE)
    result = autorecipe.search(
        "digits",
        budget=budget,
        from_recipe=folder / "known.yaml",
        space=folder / "careful.yaml",
        out=folder / "run",
    )
    for decision in result.decisions:
        print(f"{decision.question}: {decision.verdict}")
    for name, (old, new) in difference(KNOWN, result.recipe).items():
        if not name.startswith("data."):
            print(f"{name}: {old} -> {new}")
    print(f"test {result.summary['metric']}: {result.summary['scores']['test']:.4f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(sys.argv[1] if len(sys.argv) > 1 else "25s", Path(temporary))
