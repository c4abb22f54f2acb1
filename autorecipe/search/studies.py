"""Optuna: one study a question, its trials, and the storage that a search resumes from.

Everything the search knows of Optuna is in this file; other files use plain Python.
A question opens its study with `open_study`, then for each trial: `ask`, any number of `report`,
`set_attrs`, `note` and `attach`, and one `tell`.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.artifacts import FileSystemArtifactStore, get_all_artifact_meta, upload_artifact
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.pruners import BasePruner, NopPruner
from optuna.samplers import TPESampler
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import (
    BaseJournalBackend,
    JournalFileBackend,
    JournalFileOpenLock,
    JournalFileSymlinkLock,
)
from optuna.trial import FrozenTrial, TrialState, create_trial

from autorecipe.errors import InputError
from autorecipe.rundir import RunDir, write_bytes
from autorecipe.search.attrs import jsonable, note_attrs
from autorecipe.search.journal import prepare_journal
from autorecipe.search.parameters import Parameter, point_of, quasi_random

ETA = 2
"""Successive halving keeps one in ETA at each rung."""
TPE_STARTUP = 4
"""With fewer finished trials than this TPE draws at random."""
STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
}


@dataclass(frozen=True)
class Earlier:
    """A study of an earlier question whose trials may teach this one's sampler."""

    study: str
    fixed: Mapping[str, object] = field(default_factory=dict)
    """Values that all its trials had in parameters that were not searched then."""


@dataclass(frozen=True)
class OpenStudy:
    """A question's study, open for trials in this process."""

    name: str
    direction: str
    parameters: tuple[Parameter, ...]
    study: optuna.Study = field(repr=False)
    seed: int
    startup: int
    """Quasi-random trials before TPE draws."""
    running: dict[int, optuna.Trial] = field(default_factory=dict, repr=False)
    """Trials that were asked for here and not told yet."""


@dataclass(frozen=True)
class Asked:
    """A trial to run."""

    number: int
    params: dict[str, object]
    known: bool
    """Whether it is the incumbent or a known-good point, which is never pruned."""


@dataclass(frozen=True)
class TrialRecord:
    """How one trial of a study ended."""

    number: int
    params: dict[str, object]
    value: float | None
    """The final value; of a pruned trial the last one reported, None if there was none."""
    state: str
    """`complete`, `pruned` or `failed`."""
    rungs: dict[int, float]
    """Value reported at each rung."""
    attrs: dict[str, Any]
    known: bool
    seconds: float


# Storage


def open_storage(run: RunDir, url: str | None) -> BaseStorage:
    """The run's storage: the journal in its folder, repaired first, or any Optuna storage by URL.

    The caller holds the run's lock (`rundir.locked`), so a lock on the journal that is found here is stale.
    Not Redis: Optuna keeps pickles there, and autorecipe loads none.

    Raises:
        InputError: the storage cannot be opened.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        if url is None:
            return JournalStorage(_journal_of(run))
        return RDBStorage(url)
    except InputError:
        raise
    except Exception as error:  # one of many kinds: URL, driver, network, version of the tables
        reason = str(error).strip().split("\n")[0]
        if url is None:
            raise InputError(
                f"{run.journal} cannot be opened: {reason}; to begin anew: --out ANOTHER_FOLDER"
            ) from error
        raise InputError(
            f"the storage '{shown(url)}' cannot be opened: {reason}; a storage is the URL of a database such as "
            "--storage sqlite:///trials.db; without --storage the run keeps a journal in its own folder"
        ) from error


def shown(url: str) -> str:
    """A storage's URL without the password that it may hold."""
    return re.sub(r"://([^:/@]*):.*@", r"://\1:***@", url)


def _journal_of(run: RunDir) -> BaseJournalBackend:
    path = str(prepare_journal(run))
    # Windows asks for a privilege to make symlinks.
    kind = JournalFileOpenLock if os.name == "nt" else JournalFileSymlinkLock
    return JournalFileBackend(path, lock_obj=kind(path))


def study_summaries(storage: BaseStorage, run_name: str) -> list[tuple[str, dict[str, int]]]:
    """Name of each study of a run, in the order of the questions, and its own trials by state."""
    prefix = f"{run_name}/"
    summaries = []
    for name in optuna.get_all_study_names(storage):
        if not name.startswith(prefix):
            continue
        counts: dict[str, int] = {}
        for trial in _own(optuna.load_study(study_name=name, storage=storage)):
            counts[STATES[trial.state]] = counts.get(STATES[trial.state], 0) + 1
        summaries.append((name, counts))
    return sorted(summaries, key=lambda row: (_number(row[0].removeprefix(prefix)), row[0]))


def _number(label: str) -> int:
    number = label.split("-")[0]
    return int(number) if number.isdecimal() else 0


# A study


def open_study(
    storage: BaseStorage,
    run_name: str,
    number: int,
    slug: str,
    *,
    direction: Literal["maximize", "minimize"],
    metric: str = "value",
    seed: int,
    prune: bool,
    parameters: Sequence[Parameter],
    known: Sequence[Mapping[str, object]] = (),
    earlier: Sequence[Earlier] = (),
    incumbent_value: float | None = None,
    startup: int = 8,
) -> OpenStudy:
    """Open the study of one question, new or resumed.

    A new study gets the trials of earlier questions, then the known points, which are asked for first.
    In a resumed one, trials that were interrupted have failed and their points wait to be asked for again.

    Args:
        storage: from `open_storage`.
        run_name: the run's name.
        number: the question's number in the run.
        slug: the question in a few characters, as `width-16to32`.
        direction: `maximize` or `minimize`.
        metric: what the dashboard calls a trial's value.
        seed: the run's seed.
        prune: whether `report` stops bad trials by successive halving.
        parameters: the search space.
        known: the incumbent and known-good points; each names every parameter.
        earlier: studies that teach the sampler; a trial counts only if it answers for every parameter.
        incumbent_value: the level that the best trial of each earlier study is shifted to.
        startup: quasi-random trials before TPE draws: the first cohort less the known points.

    Raises:
        InputError: the study was begun with other bounds, choices or direction, or a known point lies
            outside of them: the sampler would be led astray.
        ValueError: a known point lacks a parameter.
    """
    name = f"{run_name}/{number}-{slug}"
    parameters = tuple(parameters)
    space = json.loads(json.dumps({"direction": direction, "parameters": [asdict(p) for p in parameters]}))
    points = [point_of(parameters, params) for params in known]
    for point in points:
        if missing := [p.name for p in parameters if p.name not in point]:
            raise ValueError(f"a known point of {name} lacks {missing[0]}")
    trials = _existing(storage, name, space)
    study = optuna.create_study(
        storage=storage,
        study_name=name,
        direction=direction,
        load_if_exists=True,
        sampler=TPESampler(n_startup_trials=TPE_STARTUP, seed=_seed(seed, number, slug, trials)),
        pruner=_Halving() if prune else NopPruner(),
    )
    handle = OpenStudy(name, direction, parameters, study, _seed(seed, number, slug, 0), startup)
    if "space" in study.user_attrs:
        _retry_interrupted(handle)
    else:
        for source in earlier:
            _carry(handle, storage, source, incumbent_value)
        for point in points:
            study.enqueue_trial(point, user_attrs={"known": True})
        # What `study.set_metric_names` does, which warns that it is experimental.
        storage.set_study_system_attr(study._study_id, "study:metric_names", [metric])
        study.set_user_attr("space", space)  # last: it says that the study is whole
    return handle


def _existing(storage: BaseStorage, name: str, space: object) -> int:
    """How many trials the study has already; one that was cut off while it was set up is deleted."""
    if name not in optuna.get_all_study_names(storage):
        return 0
    study = optuna.load_study(study_name=name, storage=storage)
    if "space" not in study.user_attrs:
        optuna.delete_study(study_name=name, storage=storage)
        return 0
    if study.user_attrs["space"] != space:
        raise InputError(
            f"the search space of {name} is not the one it was begun with, and trials of both would mix; "
            "give --space the file of then, or begin a new run with --out ANOTHER_FOLDER"
        )
    return len(study.get_trials(deepcopy=False))


def _seed(seed: int, number: int, slug: str, trials: int) -> int:
    # Not from the run's name: the same seed in another folder is to decide the same.
    # From the number of trials: a resumed TPE would repeat its first draws.
    return int.from_bytes(hashlib.sha256(f"{seed}/{number}-{slug}/{trials}".encode()).digest()[:4], "big")


class _Halving(BasePruner):
    """Successive halving (Jamieson and Talwalkar 2016): of the trials that reached a rung the better half goes on.

    Optuna's own looks at steps 1, 2, 4, 8 only, and compares with those that were looked at before: in a cohort
    all reach a rung at once.
    """

    def prune(self, study: optuna.Study, trial: FrozenTrial) -> bool:
        """Whether a trial is to stop at the rung that it reported last."""
        rung = trial.last_step
        if rung is None:
            return False
        sign = 1 if study.direction == optuna.study.StudyDirection.MAXIMIZE else -1
        # One that was interrupted is asked for again, and would count twice.
        reached = [t for t in _own(study) if rung in t.intermediate_values and t.state != TrialState.FAIL]
        values = [sign * t.intermediate_values[rung] for t in reached]
        better = sum(value > sign * trial.intermediate_values[rung] for value in values)
        return better >= max(1, len(values) // ETA)


def _carry(handle: OpenStudy, storage: BaseStorage, source: Earlier, level: float | None) -> None:
    """Add the completed trials of an earlier study, so that TPE has something to model.

    Scores of different shapes differ in level; what carries over is which points were better than others.
    A trial that lacks a parameter would take it out of TPE's joint model (the intersection of all trials).
    """
    if source.study not in optuna.get_all_study_names(storage):
        return  # lost when the journal was repaired
    study = optuna.load_study(study_name=source.study, storage=storage)
    values = {
        trial.number: trial.value
        for trial in _own(study)
        if trial.state == TrialState.COMPLETE and trial.value is not None and math.isfinite(trial.value)
    }
    if not values:
        return
    best = max(values.values()) if handle.direction == "maximize" else min(values.values())
    shift = 0.0 if level is None else level - best
    for trial in study.get_trials(deepcopy=False):
        params = {**source.fixed, **trial.params}
        if trial.number not in values:
            continue
        if not all(p.name in params and p.contains(params[p.name]) for p in handle.parameters):
            continue
        handle.study.add_trial(
            create_trial(
                state=TrialState.COMPLETE,
                params=point_of(handle.parameters, params),
                distributions=_distributions(handle.parameters),
                value=values[trial.number] + shift,
                user_attrs={"carried_from": f"{source.study}#{trial.number}"},
            )
        )


def _retry_interrupted(handle: OpenStudy) -> None:
    """Tell trials that a crash left running as failed and enqueue their points once more.

    A point that was interrupted twice is given up, for it may be what kills the process; not so known ones,
    which every decision needs.
    """
    storage = handle.study._storage
    trials = handle.study.get_trials(deepcopy=False)
    retried = {trial.user_attrs["retry_of"] for trial in trials if "retry_of" in trial.user_attrs}
    for trial in trials:
        if trial.state != TrialState.RUNNING:
            continue
        # One that was cut off while its parameters were drawn has them in part.
        params = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
        known = bool(trial.user_attrs.get("known"))
        if params and trial.number not in retried and (known or "retry_of" not in trial.user_attrs):
            attrs = {"retry_of": trial.number} | ({"known": True} if known else {})
            handle.study.enqueue_trial(params, user_attrs=attrs)
        storage.set_trial_user_attr(trial._trial_id, "reason", "interrupted")
        handle.study.tell(trial.number, state=TrialState.FAIL)


# Trials


def ask(handle: OpenStudy) -> Asked:
    """The next trial: a point that waits, then quasi-random ones, then TPE's choice."""
    study = handle.study
    trials = study.get_trials(deepcopy=False)
    drawn = sum("quasi_random" in trial.user_attrs for trial in trials)
    waiting = any(trial.state == TrialState.WAITING for trial in trials)
    if handle.parameters and drawn < handle.startup and not waiting:
        point = quasi_random(handle.parameters, handle.startup, handle.seed)[drawn]
        study.enqueue_trial(point, user_attrs={"quasi_random": drawn})
    trial = study.ask(fixed_distributions=_distributions(handle.parameters))
    handle.running[trial.number] = trial
    return Asked(trial.number, dict(trial.params), _known(trial))


def enqueue(handle: OpenStudy, params: Mapping[str, object], *, known: bool = False) -> None:
    """Have a point asked for next; parameters that it does not name are drawn.

    Raises:
        InputError: a value lies outside of the search space.
    """
    handle.study.enqueue_trial(point_of(handle.parameters, params), user_attrs={"known": True} if known else {})


def report(handle: OpenStudy, values: Mapping[int, float], rung: int) -> set[int]:
    """Report the values of trials at a rung (0, 1, 2, ...); which should be pruned, never known ones.

    A value that is not finite is not reported: tell such a trial `pruned` with a reason.

    Args:
        handle: the study.
        values: of the trials that have come to the rung together, by number.
        rung: which.
    """
    bad = {number for number, value in values.items() if not math.isfinite(value)}
    for number in values.keys() - bad:
        handle.running[number].report(float(values[number]), step=rung)
    worse = {number for number in values.keys() - bad if handle.running[number].should_prune()}
    return {number for number in bad | worse if not _known(handle.running[number])}


def set_attrs(handle: OpenStudy, number: int | None, attrs: Mapping[str, object]) -> None:
    """Keep facts with a trial, before it is told, or with the study (None): the dashboard shows them."""
    owner = handle.study if number is None else handle.running[number]
    for key, value in attrs.items():
        owner.set_user_attr(key, jsonable(value))


def tell(
    handle: OpenStudy, number: int, state: Literal["complete", "pruned", "failed"], value: float | None = None
) -> None:
    """End a trial.

    A pruned trial has the value it reported last, or none: one that diverged or ran out of memory is told
    `pruned` and says so in the attribute `reason`.  A `complete` one whose value is not finite counts as
    pruned, for Optuna takes no NaN.
    """
    if state == "complete" and (value is None or not math.isfinite(value)):
        set_attrs(handle, number, {"reason": f"the value is {value}"})
        state = "pruned"
    if state == "complete":
        handle.study.tell(number, value, state=TrialState.COMPLETE)
    else:
        handle.study.tell(number, state=TrialState.PRUNED if state == "pruned" else TrialState.FAIL)
    del handle.running[number]


def finished(handle: OpenStudy) -> list[TrialRecord]:
    """The study's own finished trials, by number; carried ones are not among them."""
    return [
        TrialRecord(
            number=trial.number,
            params=dict(trial.params),
            value=trial.value,
            state=STATES[trial.state],
            rungs=dict(trial.intermediate_values),
            attrs={key: value for key, value in trial.user_attrs.items() if key != "known"},
            known=_known(trial),
            seconds=trial.duration.total_seconds() if trial.duration else 0.0,
        )
        for trial in _own(handle.study)
        if trial.state.is_finished()
    ]


def ended(handle: OpenStudy) -> list[TrialRecord]:
    """Those of `finished` that ended by themselves: interrupted ones are asked for again."""
    return [record for record in finished(handle) if record.state != "failed"]


def note(handle: OpenStudy, number: int | None, text: str) -> None:
    """Show Markdown with a running trial, or with the study (None), in the dashboard."""
    storage, study_id = handle.study._storage, handle.study._study_id
    trial_id = None if number is None else handle.running[number]._trial_id
    for key, value in note_attrs(text, storage.get_study_system_attrs(study_id), trial_id).items():
        storage.set_study_system_attr(study_id, key, value)


def attach(handle: OpenStudy, number: int | None, run: RunDir, file: Path) -> str:
    """Keep a copy of a file with a running trial, or with the study (None); returns the artifact's id.

    Raises:
        FileNotFoundError: there is no such file; Optuna would record it before it looks.
    """
    if not file.is_file():
        raise FileNotFoundError(file)
    return _upload(handle.study if number is None else handle.running[number], run, file)


def attach_figure(storage: BaseStorage, study_name: str, file: Path, run: RunDir) -> None:
    """Keep a picture with a study that is over, so that the dashboard shows it on the study's page.

    A file of the same name takes the place of the one before, so that this can be done again.  Nothing is done if the
    storage has no such study.

    Args:
        storage: from `open_storage`.
        study_name: as a decision names it.
        file: the picture.
        run: its artifacts are the dashboard's.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not file.is_file():
        raise FileNotFoundError(file)
    if study_name not in optuna.get_all_study_names(storage):
        return  # lost when the journal was repaired
    study = optuna.load_study(study_name=study_name, storage=storage)
    old = [meta for meta in get_all_artifact_meta(study) if meta.filename == file.name]
    if old:
        write_bytes(run.artifacts / old[0].artifact_id, file.read_bytes())
        return
    _upload(study, run, file)


def _upload(owner: optuna.Study | optuna.Trial, run: RunDir, file: Path) -> str:
    run.artifacts.mkdir(parents=True, exist_ok=True)
    store = FileSystemArtifactStore(run.artifacts)
    return upload_artifact(artifact_store=store, file_path=str(file), study_or_trial=owner)


# In the types of Optuna


def _own(study: optuna.Study) -> list[FrozenTrial]:
    return [trial for trial in study.get_trials(deepcopy=False) if "carried_from" not in trial.user_attrs]


def _known(trial: FrozenTrial | optuna.Trial) -> bool:
    return bool(trial.user_attrs.get("known"))


def _distributions(parameters: Sequence[Parameter]) -> dict[str, BaseDistribution]:
    return {p.name: _distribution(p) for p in parameters}


def _distribution(p: Parameter) -> BaseDistribution:
    if p.kind == "categorical":
        return CategoricalDistribution(p.choices)
    if p.kind == "int":
        return IntDistribution(int(p.low), int(p.high), log=p.log)
    return FloatDistribution(p.low, p.high, log=p.log)
