"""What many tests need: small data, short recipes, something that listens to a search."""

import subprocess
import sys

import numpy as np
import torch

from autorecipe.networks import family
from autorecipe.recipe import Recipe, replace
from autorecipe.training.evaluate import DeviceData
from autorecipe.training.hardware import Hardware

CPU = Hardware(torch.device("cpu"), 1, fused=True, reason="for tests")


def small_digits(count=400, channels=1, resolution=None, seed=0):
    """Some of scikit-learn's digits as (X [N, H, W] or [N, H, W, 3], y)."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    rows = np.random.default_rng(seed).permutation(len(digits.target))[:count]
    images = (digits.images[rows] * 15.9).astype(np.uint8)
    if channels == 3:
        images = np.stack([images, images // 2, 255 - images], axis=-1)
    return images, digits.target[rows]


def on_cpu(dataset):
    """A data set's tensors as the training code wants them."""
    return DeviceData(dataset.info, dataset.inputs, dataset.targets)


def rows_of(dataset, split="train"):
    return torch.from_numpy(getattr(dataset.splits, split))


def recipe_for(dataset, section=None, **changes):
    """A short plain recipe for a data set: the smallest network of the usual family unless `section` is given."""
    info = dataset.info
    name = "resnet" if info.modality == "image" else "mlp"
    section = section if section is not None else family(name).smallest(info)
    return replace(
        Recipe(),
        {
            "network": section,
            "data.modality": info.modality,
            "data.task": info.task,
            "data.metric": info.metric,
            "data.resolution": info.resolution,
            "data.channels": info.channels,
            "training.batch_size": 32,
            "training.steps": 8,
            "optimizer.lr": 3e-3,
            **changes,
        },
    )


class Heard(list):
    """Remembers what a search says."""

    def __call__(self, kind, **facts):
        self.append((kind, facts))

    def of(self, kind):
        return [facts for k, facts in self if k == kind]


def go_on():
    """Never stop."""


def no_worker():
    """Instead of the baselines' process, which imports scikit-learn for seconds: one that ends at once."""
    return subprocess.Popen(
        [sys.executable, "-S", "-c", "pass"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
