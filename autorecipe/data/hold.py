"""Arrays that come in chunks: held in memory, or in a file if they are larger than the memory cap."""

import os
import secrets
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import numpy as np

from autorecipe.data import cache
from autorecipe.errors import InputError


def hold(chunks: Iterable[np.ndarray], most: int, item: tuple[int, ...]) -> tuple[np.ndarray, Path | None]:
    """Put chunks of uint8 rows one after the other: in memory, or in a file if that is over the cap.

    Args:
        chunks: arrays [k, *item].
        most: as many rows as may come.
        item: the shape of a row.

    Returns:
        uint8 [N, *item]; and the file, if the array is mapped from one.  The caller stores it or removes it.

    Raises:
        InputError: there is no room on the disk.
    """
    size = most * int(np.prod(item))
    if size > cache.memory_cap():
        return _spill(chunks, most, item)
    array = np.empty((most, *item), dtype=np.uint8)
    count = 0
    for chunk in chunks:
        array[count : count + len(chunk)] = chunk
        count += len(chunk)
    return array[:count], None


def _spill(chunks: Iterable[np.ndarray], most: int, item: tuple[int, ...]) -> tuple[np.ndarray, Path]:
    size = most * int(np.prod(item))
    path = _scratch_file(size)
    try:
        with open(path, "wb") as file:
            _write_header(file, (most, *item))
            count = 0
            for chunk in chunks:
                file.write(np.ascontiguousarray(chunk).data)
                count += len(chunk)
            file.seek(0)
            _write_header(file, (count, *item))  # numpy leaves room for the count, so it is as long as before
        return cache.map_array(path) if count else np.empty((0, *item), dtype=np.uint8), path
    except BaseException as error:
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise InputError(_no_room(size, error.strerror or str(error))) from error
        raise


def _scratch_file(size: int) -> Path:
    """A new file where there is room for so many bytes: in the cache's folder, or else among temporary files.

    Raises:
        InputError: there is room nowhere.
    """
    why = ""
    for folder in (cache.cache_dir(), Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            free = shutil.disk_usage(folder).free
            if free > size + 4096:
                handle, name = tempfile.mkstemp(dir=folder, prefix=f".{secrets.token_hex(32)}.npy.", suffix=".tmp")
                os.close(handle)
                return Path(name)
            why = why or f"{folder} has {free:,} bytes free"
        except OSError as error:
            why = why or f"{folder}: {error.strerror or error}"
    raise InputError(_no_room(size, why))


def _no_room(size: int, why: str) -> str:
    return (
        f"the images take {size:,} bytes, more than may be held in memory ({cache.memory_cap():,}), and there is no "
        f"room for them on the disk ({why}). Set AUTORECIPE_CACHE to a folder with room, AUTORECIPE_MEMORY_CAP to a "
        "larger size, or use a smaller --resolution"
    )


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
