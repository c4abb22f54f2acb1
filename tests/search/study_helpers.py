"""A small study, for tests of what studies are made of."""

from optuna.storages import BaseStorage

from autorecipe.search.parameters import Parameter
from autorecipe.search.studies import Asked, OpenStudy, ask, open_study, tell

SPACE = (
    Parameter("lr_factor", "float", 0.25, 4.0, log=True),
    Parameter("regularization.dropout", "float", 0.0, 0.5),
    Parameter("kernel", "int", 1, 7),
    Parameter("regularization.flip", "categorical", choices=(False, True)),
)
INCUMBENT = {"lr_factor": 1.0, "regularization.dropout": 0.0, "kernel": 3, "regularization.flip": False}
LR = (Parameter("lr_factor", "float", 0.25, 4.0, log=True),)


def question(storage: BaseStorage, **changes) -> OpenStudy:
    arguments = {"direction": "maximize", "seed": 0, "prune": False, "parameters": SPACE, "startup": 4} | changes
    run_name = arguments.pop("run_name", "digits-1")
    return open_study(storage, run_name, arguments.pop("number", 2), arguments.pop("slug", "width-16to32"), **arguments)


def score(asked: Asked) -> float:
    return 1.0 - (float(asked.params["lr_factor"]) - 2.0) ** 2


def go(handle: OpenStudy, trials: int) -> list[Asked]:
    rows = []
    for _ in range(trials):
        rows.append(ask(handle))
        tell(handle, rows[-1].number, "complete", score(rows[-1]))
    return rows
