"""How memory and operations grow with the size of a task: the slope between two sizes."""

from __future__ import annotations

import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

Work = Callable[[], object]


def slope(small: tuple[int, float], large: tuple[int, float]) -> float:
    """The growth per item between two (size, value) pairs."""
    return (large[1] - small[1]) / (large[0] - small[0])


def peak_bytes(work: Work) -> int:
    """The most memory that `work` allocates at a time, its result included."""
    tracemalloc.start()
    try:
        result = work()
        _, peak = tracemalloc.get_traced_memory()
        del result
    finally:
        tracemalloc.stop()
    return peak


def calls_during(work: Work) -> Counter[str]:
    """How often each function is called, by its name, during `work`; built-in functions too."""
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, function: Any) -> None:
        if event == "call":
            calls[frame.f_code.co_name] += 1
        elif event == "c_call":
            calls[function.__name__] += 1

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


class CountingArray(np.ndarray):
    """An array that counts the numbers which operations on it compute, in `CountingArray.numbers`.

    The results of operations are ordinary arrays.
    """

    numbers = 0

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        plain = [np.asarray(x) if isinstance(x, CountingArray) else x for x in inputs]
        result = getattr(ufunc, method)(*plain, **options)
        CountingArray.numbers += np.size(result)
        return result


def numbers_during(work: Work) -> int:
    """How many numbers operations on counting arrays compute during `work`."""
    before = CountingArray.numbers
    work()
    return CountingArray.numbers - before
