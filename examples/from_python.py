"""Data sets as Python has them: a torch Dataset, and scikit-learn's fit and predict.

    python examples/from_python.py [BUDGET]

BUDGET is a time for each of the two searches such as 12s (the default), or epochs such as 20epochs.
"""

import sys
import tempfile
from pathlib import Path

import torch
from sklearn.datasets import load_digits, load_wine
from sklearn.model_selection import train_test_split
from torch.utils.data import Dataset, Subset

import autorecipe


class Digits(Dataset):
    """Images of digits as a map-style data set: numbered items (image, class), and names of the classes."""

    classes = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

    def __init__(self) -> None:
        self.images, self.targets = load_digits(return_X_y=True)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return torch.from_numpy(self.images[i].reshape(1, 8, 8) / 16), int(self.targets[i])


def main(budget: str, folder: Path) -> None:
    """Search a torch Dataset, then fit an estimator."""
    digits = Digits()
    result = autorecipe.search(digits, budget=budget, out=folder / "digits")
    print(f"{result.info.task} on {result.info.modality}s, test {result.summary['scores']['test']:.3f}")
    print("the first five are", ", ".join(result.predict(Subset(digits, range(5)))))

    X, y = load_wine(return_X_y=True, as_frame=True)
    X_mine, X_new, y_mine, y_new = train_test_split(X, y, test_size=40, random_state=0, stratify=y)
    model = autorecipe.AutoRecipeClassifier(budget, random_state=0).fit(X_mine, y_mine)
    print(f"probabilities of the first new row: {model.predict_proba(X_new.head(1)).round(2)[0]}")
    print(f"test accuracy: {model.score(X_new, y_new):.4f}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(sys.argv[1] if len(sys.argv) > 1 else "12s", Path(temporary))
