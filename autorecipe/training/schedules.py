"""Learning-rate schedules: the factor on the peak learning rate, by the share of the run that is over."""

import math

from autorecipe.recipe import ScheduleSection


def lr_factor(section: ScheduleSection, progress: float) -> float:
    """Factor on the peak learning rate when `progress` (0 to 1) of the run is over.

    `wsd` rises, stays and falls linearly to zero (Haegele et al. 2024, "Scaling Laws and
    Compute-Optimal Training Beyond Fixed Training Durations", section 3): until the cooldown begins, runs of
    any length have seen the same learning rates, so their scores compare.
    """
    if progress < section.warmup:
        return min(1.0, max(progress, 1e-3) / section.warmup)
    if section.name == "constant":
        return 1.0
    if section.name == "cosine":
        share = (progress - section.warmup) / max(1e-9, 1 - section.warmup)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))
    if section.name != "wsd":
        raise ValueError(f"unknown schedule '{section.name}'")
    left = 1 - progress
    return min(1.0, max(0.0, left / section.cooldown)) if section.cooldown else 1.0


def cooldown_start(section: ScheduleSection) -> float:
    """Share of the run after which the learning rate falls."""
    return 1 - section.cooldown if section.name == "wsd" else section.warmup if section.name == "cosine" else 1.0
