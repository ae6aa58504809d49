# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers as people read them. Private to this collection."""

from __future__ import annotations

import math

_STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def digits(value: float, count: int = 3) -> str:
    """``count`` significant digits without an exponent: ``4.00``, ``37.2``, ``812``."""
    rounded = abs(float(f"{value:.{count}g}"))  # 9.999 has as many places as 10.0
    whole = len(str(int(rounded))) if rounded >= 1 else 1
    return f"{value:.{max(count - whole, 0)}f}"


def _step(value: float) -> tuple[float, str]:
    return next((step for step in _STEPS if abs(value) >= step[0] * 0.9995), (1.0, ""))


def scaled(value: float | None, unit: str) -> str:
    """``3.99 Gbit/s``; ``–`` for what is missing."""
    if value is None:
        return "–"
    scale, letter = _step(value)
    return f"{digits(value / scale)} {letter}{unit}".rstrip()


def like(value: float, other: float) -> str:
    """``value`` in the scale of ``scaled(other)``, without the unit."""
    return digits(value / _step(other)[0])


def micros(value: float | None, error: float | None = None) -> str:
    """``8 ± 5 µs``, ``1.2 ± 0.1 ms``; an error is a bound, so it is rounded up."""
    if value is None:
        return "–"
    scale, unit = next(
        ((s, u) for s, u in ((1e6, "s"), (1e3, "ms")) if max(abs(value), abs(error or 0)) >= s), (1.0, "µs")
    )
    places = 0 if scale == 1.0 else 1
    uncertain = f" ± {math.ceil(error / scale * 10**places) / 10**places:.{places}f}" if error is not None else ""
    return f"{value / scale:.{places}f}{uncertain} {unit}"
