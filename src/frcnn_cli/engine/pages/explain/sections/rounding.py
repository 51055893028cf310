"""Numbers of the page with as many digits as it shows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike


def rounded(values: ArrayLike, digits: int = 4) -> Any:
    """The values as lists of the array's shape (or one number), to this many significant digits.

    Numbers that are not finite become None, which JSON has.
    """

    def convert(value: Any) -> Any:
        if isinstance(value, list):
            return [convert(each) for each in value]
        if not math.isfinite(value):
            return None
        number = float(f"{value:.{digits}g}")
        return int(number) if number.is_integer() and abs(number) < 1e15 else number

    return convert(np.asarray(values, np.float64).tolist())
