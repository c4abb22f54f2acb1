"""What this machine is and what is fastest on it, timed where a clock may decide."""

import contextlib
import ctypes
import math
import os
import platform
import sys
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from autorecipe.errors import InputError, did_you_mean

PRECISIONS = ("auto", "fp32", "bf16")
MOST_THREADS = 1024
"""More threads than this exhaust what a machine allows to all its programs."""
ONE_THREAD_SLOWER = 1.1
"""One thread is preferred to all of them while a step takes at most so many times as long."""
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Of `malloc.h`."""
KEPT_BYTES = 2**30
"""Larger tensors are mapped each anew as before, and of free memory more than this goes back to the system."""


@dataclass(frozen=True)
class Hardware:
    """The device and how it is used."""

    device: torch.device
    threads: int
    fused: bool
    """Whether the optimizers' fused kernels are used."""
    reason: str
    vary_threads: bool = True
    """Whether fewer threads may be used where they are as fast; False if the user gave their number."""
    cohorts: bool = True
    """Whether trials of small networks may train at once."""
    precision: str = "auto"
    """`fp32` or `bf16` if the user asked for it; `auto`: what is fastest."""

    @property
    def kind(self) -> str:
        """`cpu`, `cuda` or `mps`."""
        return self.device.type


@dataclass(frozen=True)
class Numerics:
    """Precision and memory layout for one network shape."""

    precision: str
    channels_last: bool
    threads: int
    step_seconds: float
    """Time of one step."""
    reason: str


def find_hardware(
    device: str = "auto", threads: int | None = None, precision: str = "auto", cohorts: bool = True
) -> Hardware:
    """The device to train on, and how.

    Raises:
        InputError: the device does not exist here, or there is no such precision.
    """
    if precision not in PRECISIONS:
        raise InputError(f"there is no precision '{precision}'; {did_you_mean(precision, PRECISIONS)}")
    known = ["auto", "cpu", "cuda", "mps"]
    kind = device.split(":")[0]
    if kind not in known:
        raise InputError(f"there is no device '{device}'; {did_you_mean(device, known)}")
    mps = torch.backends.mps.is_available()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if mps else "cpu"
        why = f"{device}: the fastest device found"
    else:
        why = f"{device}: as asked"
    if (kind == "cuda" and not torch.cuda.is_available()) or (kind == "mps" and not mps):
        raise InputError(f"the device '{device}' is not to be had on this machine; type --device auto or --device cpu")
    if threads is not None:
        if not 1 <= threads <= MOST_THREADS:
            raise InputError(f"--threads {threads}: give 1 to {MOST_THREADS} threads, or leave it out")
        torch.set_num_threads(threads)
    elif hasattr(os, "sched_getaffinity"):
        torch.set_num_threads(max(1, min(torch.get_num_threads(), len(os.sched_getaffinity(0)))))
    keep_memory()
    count = torch.get_num_threads()
    return Hardware(
        torch.device(device),
        count,
        fused=device != "mps",
        reason=f"{why}, {count} threads",
        vary_threads=threads is None,
        cohorts=cohorts,
        precision=precision,
    )


def processor(device: torch.device) -> str:
    """What does the work, by its maker's name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    known = Path("/proc/cpuinfo")
    lines = known.read_text(errors="replace").splitlines() if known.exists() else []
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def keep_memory() -> None:
    """Have the C library keep the memory of large tensors for the next ones (`mallopt(3)`).

    It would map each anew and give it back: the kernel clears every page of every step's activations again, up to a
    third of a convnet's step.  Elsewhere than with glibc nothing changes.
    """
    if not sys.platform.startswith("linux"):
        return
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        # Before version 2.35 glibc takes 32 MiB at most; to set the second alone would undo what it does by itself.
        if mallopt(M_MMAP_THRESHOLD, KEPT_BYTES) or mallopt(M_MMAP_THRESHOLD, 1 << 25):
            mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def synchronize(device: torch.device) -> None:
    """Wait for the device, so that a clock reads true."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def candidates(modality: str, device: torch.device, precision: str = "auto") -> list[tuple[str, bool]]:
    """(precision, channels_last) pairs worth timing; the first is the plain one, then what is likely to be fastest."""
    images = modality == "image"
    if precision != "auto":
        return [(precision, False), (precision, True)] if images and device.type != "mps" else [(precision, False)]
    plain = ("fp32", False)
    if device.type == "mps":
        return [plain]
    if device.type == "cuda":
        return [plain, ("bf16", images)]
    return [plain, ("bf16", True), ("fp32", True)] if images else [plain]


def time_numerics(
    run_steps: Callable[[str, bool, int], None],
    modality: str,
    hardware: Hardware,
    budget_seconds: float,
) -> Numerics:
    """Time a few steps in each precision and layout, then with one thread, and take the fastest.

    Anything but plain fp32 must be 10 % faster: a difference below that is noise.  One thread is kept if it
    is nearly as fast as all of them: threads that wait for each other come to a halt when another process
    wants a core, so that a step takes ten times as long.

    Args:
        run_steps: runs so many steps in a precision and layout.
        modality: `image` or `table`.
        hardware: the device and its threads.
        budget_seconds: about how long the timing may take.
    """
    options = candidates(modality, hardware.device, hardware.precision)
    start = time.monotonic()

    def timed(option: tuple[str, bool]) -> float:
        return _step_seconds(run_steps, option, hardware.device, start + budget_seconds)

    use_threads(hardware.threads)
    timings: dict[tuple[str, bool], float] = {}
    for option in options:
        if timings and time.monotonic() - start > budget_seconds:
            break
        timings[option] = timed(option)
    plain = options[0]
    best = min(timings, key=lambda option: timings[option])
    if timings[best] > 0.9 * timings[plain]:
        best = plain
    seconds, threads = timings[best], hardware.threads
    told = ", ".join(f"{_name(o)} {t * 1000:.1f} ms" for o, t in timings.items())
    if hardware.kind == "cpu" and hardware.threads > 1 and hardware.vary_threads:
        use_threads(1)
        alone = timed(best)
        use_threads(hardware.threads)  # again, for the first timing may have met another process
        seconds = min(seconds, timed(best))
        told += f", with one thread {alone * 1000:.1f} ms"
        if alone < ONE_THREAD_SLOWER * seconds:
            seconds, threads = alone, 1
        use_threads(threads)
    chosen = f"{_name(best)}, {threads} thread{'s' if threads > 1 else ''}"
    return Numerics(best[0], best[1], threads, seconds, f"{chosen} chosen; a step takes: {told}")


def time_one(
    run_steps: Callable[[str, bool, int], None], hardware: Hardware, precision: str, channels_last: bool, threads: int
) -> Numerics:
    """Time a few steps in a precision and layout that are given."""
    seconds = _step_seconds(run_steps, (precision, channels_last), hardware.device, math.inf)
    told = f"{_name((precision, channels_last))}, as in the smaller network; a step takes {seconds * 1000:.1f} ms"
    return Numerics(precision, channels_last, threads, seconds, told)


def _step_seconds(
    run_steps: Callable[[str, bool, int], None], option: tuple[str, bool], device: torch.device, deadline: float
) -> float:
    """Seconds of a step: the least of three samples, for another process may have held one of them up."""
    run_steps(*option, 2)
    samples = []
    for _ in range(3):
        synchronize(device)
        begin = time.perf_counter()
        run_steps(*option, 3)
        synchronize(device)
        samples.append((time.perf_counter() - begin) / 3)
        if time.monotonic() > deadline:
            break
    return min(samples)


def race_threads(hardware: Hardware, rounds: int = 3) -> Generator[None, float, str]:
    """Run stretches of a long training with all threads and with one in turn, then go on with what was faster.

    Timings of a few steps beforehand are too short to be sure of, and a long run pays for the wrong choice to its
    end.  Send it the seconds of a step in the stretch that has just ended; it sets the threads of the next one.

    Args:
        hardware: the device and its threads.
        rounds: stretches with each number of threads; the fastest of them counts.

    Returns:
        What was chosen, and why.
    """
    fastest = {hardware.threads: math.inf, 1: math.inf}
    for _ in range(rounds):
        for threads in fastest:
            use_threads(threads)
            fastest[threads] = min(fastest[threads], (yield))
    many, alone = fastest[hardware.threads], fastest[1]
    chosen = 1 if alone < ONE_THREAD_SLOWER * many else hardware.threads
    use_threads(chosen)
    told = f"{many * 1000:.1f} ms with {hardware.threads} threads, {alone * 1000:.1f} ms with one"
    return f"{chosen} thread{'s' if chosen > 1 else ''} from here on: a step takes {told}"


def use_threads(threads: int) -> None:
    """Set the number of threads of CPU operations, for the whole process."""
    if torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


def _name(option: tuple[str, bool]) -> str:
    return option[0] + (" channels_last" if option[1] else "")


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """The autocast context of a recipe's precision."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return contextlib.nullcontext()


def to_layout(x: Tensor, channels_last: bool) -> Tensor:
    """A batch of images in the recipe's memory layout."""
    return x.contiguous(memory_format=torch.channels_last) if channels_last and x.ndim == 4 else x
