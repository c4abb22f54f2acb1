"""One event of every kind, with names that would break a careless display."""

from typing import Any

EVENTS: list[tuple[str, dict[str, Any]]] = [
    ("progress", {"what": "reading images", "share": 0.5}),
    ("start", {"run": "runs/digits-1", "dataset": "digits", "budget": "60s", "resumed": False}),
    (
        "data",
        {
            "name": "digits",
            "modality": "image",
            "task": "multiclass",
            "task_reason": "10 distinct whole numbers",
            "metric": "accuracy",
            "metric_reason": "the usual one",
            "num_examples": {"train": 1000, "val": 300, "confirm": 0, "test": 400},
            "classes": 10,
            "inputs": "8x8 grey",
            "cross_validated": True,
        },
    ),
    (
        "finding",
        {
            "name": "identifier_column",
            "found": "column '[red]' and class '[/]' look odd",
            "done": "dropped",
            "otherwise": "--keep '[red]'",
            "warn": True,
        },
    ),
    ("hardware", {"reason": "cpu: 2 cores"}),
    ("check", {"name": "loss at start", "passed": True, "measured": "2.31", "expected": "2.30", "advice": ""}),
    (
        "check",
        {"name": "real input", "passed": False, "measured": "2.3", "expected": "1", "advice": "look at the labels"},
    ),
    ("baseline", {"name": "majority", "seconds": 0.1, "score": 0.101, "metric": "accuracy"}),
    ("plan", {"search_seconds": 20.0, "finish_seconds": 30.0, "trial_seconds": 1.2, "text": ""}),
    ("stage", {"name": "width", "asks": "does a network twice as wide pay?", "reason": "underfitting"}),
    (
        "lr_range",
        {
            "network": "resnet 16",
            "lr": 0.0031,
            "reason": "steepest",
            "flat": False,
            "numerics": "fp32",
            "step_ms": 3.2,
            "params": 12345,
        },
    ),
    ("question", {"number": 2, "stage": "width", "text": "width 16 -> 32 or 64", "study": "s", "trials": 5}),
    (
        "trial_start",
        {
            "study": "s",
            "number": 0,
            "params": {"lr_factor": 1.0, "network": "[/] 16"},
            "network": "[/] 16",
            "steps": 100,
        },
    ),
    ("look", {"study": "s", "number": 0, "rung": 1, "score": 0.71}),
    ("look", {"study": "s", "number": 0, "rung": 2, "score": 0.82}),
    (
        "trial",
        {"study": "s", "number": 0, "state": "complete", "score": 0.9, "best": 0.9, "seconds": 1.3, "reason": ""},
    ),
    ("trial_start", {"study": "s", "number": 1, "params": {"lr_factor": 2.5}, "network": "resnet 32", "steps": 60}),
    ("look", {"study": "s", "number": 1, "rung": 1, "score": 0.51}),
    (
        "trial",
        {"study": "s", "number": 1, "state": "pruned", "score": 0.51, "best": 0.9, "seconds": 0.4, "reason": "behind"},
    ),
    (
        "trial",
        {"study": "s", "number": 2, "state": "diverged", "score": None, "best": 0.9, "seconds": 0.4, "reason": "nan"},
    ),
    ("evidence", {"who": "incumbent", "seed": 0, "score": 0.914}),
    (
        "decision",
        {
            "sentence": "width 16 -> 32: adopted; error 0.081 -> 0.064 on 1,200 unseen examples",
            "verdict": "adopted",
            "stage": "width",
            "question": "width 16 -> 32",
            "chosen": "resnet 32",
            "diagnosis": "fitting",
        },
    ),
    ("length", {"steps": 380, "seconds": 4.7, "score": 0.649, "loss": 0.4465}),
    (
        "race",
        {
            "chosen": "[/] 32",
            "other": "[/] 16",
            "winner": "abc",
            "kept": False,
            "scores": [0.91, 0.92],
            "steps": [400, 400],
            "seconds": 5.0,
            "p_better": 0.31,
            "reason": "expected relative gain -2 %",
        },
    ),
    (
        "foresight",
        {
            "metric": "accuracy",
            "on": "test",
            "predicted": 0.93,
            "interval": [0.92, 0.94],
            "basis": "2 fresh seeds",
            "budgets": [{"factor": 2.0, "seconds": 7200.0, "predicted": 0.94, "interval": [0.93, 0.95]}],
        },
    ),
    ("finish", {"network": "resnet 32", "params": 45000, "seconds": 28.0, "steps": 900, "recipe": "abc123"}),
    ("finish_look", {"step": 100, "share": 0.11, "train_loss": float("nan"), "lr": 0.001}),
    ("saved", {"what": "resnet 32", "score": 0.97}),
    ("note", {"text": "class '[bold]x[/bold]'\n\x1b[31mred\x1b[0m \u202e"}),
    (
        "result",
        {
            "status": "complete",
            "scores": {"search": 0.98, "confirm": None, "test": 0.9722},
            "metrics": {},
            "baselines": {},
            "path": "runs/digits-1",
        },
    ),
]
