"""What the search says, in words: one function for each kind of event.

Every fact is optional here: a sentence may come out shorter, but a display never stops a search.
"""

import math
import os
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from autorecipe.outputs.wording import count as count
from autorecipe.outputs.wording import number as number
from autorecipe.outputs.wording import seconds as seconds

Facts = Mapping[str, Any]


def clean(text: object) -> str:
    """Text on one line without control characters: names in data are the user's, or a stranger's."""
    return "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in str(text))


def shown_path(path: Path) -> str:
    """A path as one would type it from here."""
    try:
        near = os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)
    return str(path) if near.startswith("..") else near


def short(value: object) -> str:
    """A hyperparameter: three digits."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def timer(value: float) -> str:
    """A running clock: `0:07`, `12:34`, `1:02:03`."""
    whole = max(0, int(value))
    tail = f"{whole // 60 % 60:02}:{whole % 60:02}" if whole >= 3600 else f"{whole // 60}:{whole % 60:02}"
    return f"{whole // 3600}:{tail}" if whole >= 3600 else tail


def params(values: object) -> str:
    """Hyperparameters of a trial: `lr_factor 1.3, batch_size 64`; its network is told apart."""
    if not isinstance(values, Mapping):
        return ""
    shown = {str(name).rsplit(".", 1)[-1]: value for name, value in values.items() if name != "network"}
    return ", ".join(f"{name} {short(value)}" for name, value in shown.items())


def _note(text: object) -> str:
    return f" ({text})" if text else ""


def _tail(text: object, joint: str = "; ") -> str:
    return f"{joint}{text}" if text else ""


def _start(facts: Facts) -> list[str]:
    word = "resumed" if facts.get("resumed") else "run"
    place = shown_path(Path(str(facts.get("run", ""))))
    return [f"{word} {place}: {facts.get('dataset', '')}, budget {facts.get('budget', '')}"]


def _progress(facts: Facts) -> list[str]:
    share = facts.get("share")
    done = f": {share:.0%}" if isinstance(share, (int, float)) and math.isfinite(share) else ""
    return [f"{facts.get('what', 'working')}{done}"]


def _data(facts: Facts) -> list[str]:
    sizes = facts.get("num_examples") or {}
    splits = ", ".join(f"{count(n)} {name}" for name, n in sizes.items() if n)
    folds = ", cross-validated on fresh folds" if facts.get("cross_validated") else ""
    kind = "labels" if facts.get("task") == "multilabel" else "classes"
    classes = f" with {count(facts['classes'])} {kind}" if facts.get("classes") else ""
    return [
        f"data: {facts.get('name', '')}: {facts.get('modality', '')}, {facts.get('inputs', '')}",
        f"  task: {facts.get('task', '')}{classes}{_note(facts.get('task_reason'))}",
        f"  metric: {facts.get('metric', '')}{_note(facts.get('metric_reason'))}",
        f"  examples: {splits}{folds}",
    ]


def _finding(facts: Facts) -> list[str]:
    word = "warning" if facts.get("warn") else "found"
    otherwise = _tail(facts.get("otherwise"), "; to have it otherwise: ")
    return [f"{word}: {facts.get('found', '')}{_tail(facts.get('done'))}{otherwise}"]


def _check(facts: Facts) -> list[str]:
    passed = facts.get("passed")
    advice = "" if passed else _tail(facts.get("advice"))
    measured = f"measured {facts.get('measured', '-')}, expected {facts.get('expected', '-')}"
    return [f"check {facts.get('name', '')}: {'passed' if passed else 'FAILED'}: {measured}{advice}"]


def _baseline(facts: Facts) -> list[str]:
    score = f"{facts.get('metric', 'score')} {number(facts.get('score'))} on val"
    return [f"baseline {facts.get('name', '')}: {score}, {seconds(facts.get('seconds'))}"]


def _plan(facts: Facts) -> list[str]:
    if facts.get("text"):
        return [f"plan: {facts['text']}"]
    names = ("search", "finish", "trial")
    parts = [f"{name} {seconds(facts[f'{name}_seconds'])}" for name in names if facts.get(f"{name}_seconds")]
    parts += [f"{name} {number(facts[f'{name}_epochs'])} epochs" for name in names if facts.get(f"{name}_epochs")]
    return [f"plan: {', '.join(parts)}"]


def _stage(facts: Facts) -> list[str]:
    return [f"stage {facts.get('name', '')}: {facts.get('asks', '')}{_note(facts.get('reason'))}"]


def _lr_range(facts: Facts) -> list[str]:
    size = f"{count(facts.get('params'))} parameters, {short(facts.get('step_ms', '-'))} ms a step"
    why = f"{_tail(facts.get('reason'), ': ')}{_tail(facts.get('numerics'))}{_tail(facts.get('cohort'))}"
    return [f"  lr {short(facts.get('lr', '-'))} for {facts.get('network', '')} ({size}){why}"]


def _question(facts: Facts) -> list[str]:
    planned = f", {count(facts['trials'])} trials" if facts.get("trials") else ""
    return [f"question {facts.get('number', '')}: {facts.get('text', '')}{planned}"]


def _trial_start(facts: Facts) -> list[str]:
    tried = params(facts.get("params"))
    steps = f"{count(facts.get('steps'))} steps"
    return [f"  trial {facts.get('number', '')} begins: {facts.get('network', '')}, {steps}{_tail(tried)}"]


def _look(facts: Facts) -> list[str]:
    return [f"  trial {facts.get('number', '')}, rung {facts.get('rung', '')}: {number(facts.get('score'))}"]


def _trial(facts: Facts) -> list[str]:
    state = str(facts.get("state", "")).replace("_", " ")
    score = _tail(number(facts["score"]), " ") if facts.get("score") is not None else ""
    rungs = facts.get("rungs") or ()
    seen = f" (rungs {' '.join(number(value) for value in rungs)})" if rungs else ""
    best = f", best {number(facts['best'])}" if facts.get("best") is not None else ""
    spent = f", {seconds(facts.get('seconds'))}"
    return [f"  trial {facts.get('number', '')}: {state}{score}{seen}{best}{spent}{_tail(facts.get('reason'))}"]


def _evidence(facts: Facts) -> list[str]:
    again = " (measured before)" if facts.get("reused") else ""
    return [f"  {facts.get('who', '')}, seed {facts.get('seed', '')}: {number(facts.get('score'))} held out{again}"]


def _decision(facts: Facts) -> list[str]:
    lines = [f"decided: {facts.get('sentence') or facts.get('verdict', '')}"]
    if facts.get("chosen") or facts.get("diagnosis"):
        lines.append(f"  goes on with {facts.get('chosen') or '-'}{_tail(facts.get('diagnosis'), ': ')}")
    return lines


def _length(facts: Facts) -> list[str]:
    found = f"{number(facts.get('score'))} on val, loss {number(facts.get('loss'))}"
    return [f"  length: {count(facts.get('steps'))} steps: {found}, {seconds(facts.get('seconds'))}"]


def _race(facts: Facts) -> list[str]:
    both = f"race of {facts.get('chosen', '')} and {facts.get('other', '')}"
    scores = facts.get("scores") or ()
    if len(scores) < 2:
        return [f"{both}: {facts.get('reason', '')}"]
    shown = " and ".join(number(score) for score in scores)
    kept = "stays" if facts.get("kept") else "gives way"
    certain = f"P(better) {short(facts.get('p_better'))}, {seconds(facts.get('seconds'))}"
    return [f"{both}: {shown} held out, the former {kept} ({certain})", f"  {facts.get('reason', '')}"]


def _foresight(facts: Facts) -> list[str]:
    score = f"{facts.get('metric', 'score')} {number(facts.get('predicted'))} on {facts.get('on', 'test')}"
    others = (
        f"  with {seconds(row.get('seconds'))}: {number(row.get('predicted'))}, {between(row.get('interval'))}"
        for row in facts.get("budgets") or ()
    )
    return [f"foretold{assuming(facts)}: {score}, 80 % interval {between(facts.get('interval'))}", *others]


def assuming(facts: Facts) -> str:
    """What a prediction takes for granted, as a part of a sentence; empty: nothing."""
    return f", if {facts['assuming']}" if facts.get("assuming") else ""


def between(interval: object) -> str:
    """An interval: `0.91 to 0.93`."""
    return " to ".join(number(end) for end in interval) if isinstance(interval, (list, tuple)) else "-"


def _finish(facts: Facts) -> list[str]:
    if facts.get("seconds") is not None:
        planned = f", for {seconds(facts['seconds'])}"
    else:
        planned = f", {count(facts['steps'])} steps" if facts.get("steps") else ""
    size = f"{count(facts.get('params'))} parameters"
    return [f"finish: {facts.get('network', '')}, {size}{planned}{_note(_tail(facts.get('recipe'), 'recipe '))}"]


def _finish_look(facts: Facts) -> list[str]:
    share = facts.get("share")
    done = f" {share:.0%}" if isinstance(share, (int, float)) and math.isfinite(share) else ""
    loss = f"training loss {number(facts.get('train_loss'))}"
    return [f"  finish{done}: step {count(facts.get('step'))}, {loss}, lr {short(facts.get('lr', '-'))}"]


def _saved(facts: Facts) -> list[str]:
    return [f"  saved: {facts.get('what', 'a better model')}, {number(facts.get('score'))}"]


def _result(facts: Facts) -> list[str]:
    scores = facts.get("scores") or {}
    shown = ", ".join(f"{split} {number(score)}" for split, score in scores.items() if score is not None)
    return [f"{facts.get('status', 'done')}: {shown}{_tail(facts.get('path'))}"]


SENTENCES: dict[str, Callable[[Facts], list[str]]] = {
    "start": _start,
    "progress": _progress,
    "data": _data,
    "finding": _finding,
    "hardware": lambda facts: [f"hardware: {facts.get('reason', '')}"],
    "check": _check,
    "baseline": _baseline,
    "plan": _plan,
    "stage": _stage,
    "lr_range": _lr_range,
    "question": _question,
    "trial_start": _trial_start,
    "look": _look,
    "trial": _trial,
    "evidence": _evidence,
    "decision": _decision,
    "length": _length,
    "race": _race,
    "foresight": _foresight,
    "finish": _finish,
    "finish_look": _finish_look,
    "saved": _saved,
    "note": lambda facts: [f"note: {facts.get('text', '')}"],
    "result": _result,
}
"""Every kind of event that the search tells."""


def sentences(kind: str, facts: Facts) -> list[str]:
    """The lines that tell an event, without control characters; an unknown kind lists its facts."""
    tell = SENTENCES.get(kind)
    if tell is None:
        return [clean(f"{kind}: {', '.join(f'{name} {value}' for name, value in facts.items())}")]
    return [clean(line).rstrip() for line in tell(facts)]
