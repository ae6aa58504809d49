# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytes over time. Private to this collection.

A :class:`Series` holds cumulative counts, not rates: so the bytes of any stretch of time are the difference of two
readings, a missed tick loses nothing, and series of several processes or hosts add up whatever their instants are.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


def reading(at_ns: Sequence[int], values: Sequence[float], instant_ns: int) -> float:
    """``values`` at an instant, linearly between two readings, constant before the first and after the last."""
    right = bisect_right(at_ns, instant_ns)
    if right == 0:
        return values[0]
    if right == len(at_ns):
        return values[-1]
    left = right - 1
    share = (instant_ns - at_ns[left]) / (at_ns[right] - at_ns[left])
    return values[left] + (values[right] - values[left]) * share


def confined(
    at_ns: Sequence[int], values: Sequence[float], start_ns: int, stop_ns: int
) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """A counter of which it is known that it moved between two instants only.

    Readings come once per tick; without this, the first and the last tick would smear the edges of the traffic.
    """
    first, last = bisect_right(at_ns, start_ns), bisect_left(at_ns, stop_ns)
    if stop_ns <= start_ns:
        return tuple(at_ns), tuple(values)
    instants = (start_ns, *at_ns[first:last], stop_ns)
    return instants, (values[max(first - 1, 0)], *values[first:last], values[min(last, len(values) - 1)])


@dataclass(frozen=True)
class Series:
    """Cumulative received and sent bytes at strictly increasing instants (ns on some monotonic clock)."""

    at_ns: tuple[int, ...]
    rx_bytes: tuple[float, ...]
    tx_bytes: tuple[float, ...]

    @classmethod
    def of(cls, rows: Iterable[tuple[int, float, float]]) -> Series | None:
        """From rows (instant, rx, tx); None without two usable ones.

        Counters only grow: a row that goes back in time is dropped, a count that goes back is held.
        """
        at_ns: list[int] = []
        rx_bytes: list[float] = []
        tx_bytes: list[float] = []
        for instant, rx, tx in rows:
            if at_ns and instant <= at_ns[-1]:
                continue
            at_ns.append(instant)
            rx_bytes.append(max(rx, rx_bytes[-1]) if rx_bytes else rx)
            tx_bytes.append(max(tx, tx_bytes[-1]) if tx_bytes else tx)
        return cls(tuple(at_ns), tuple(rx_bytes), tuple(tx_bytes)) if len(at_ns) > 1 else None

    @property
    def start_ns(self) -> int:
        return self.at_ns[0]

    @property
    def stop_ns(self) -> int:
        return self.at_ns[-1]

    def rx_at(self, instant_ns: int) -> float:
        return reading(self.at_ns, self.rx_bytes, instant_ns)

    def tx_at(self, instant_ns: int) -> float:
        return reading(self.at_ns, self.tx_bytes, instant_ns)

    def rx_between(self, start_ns: int, stop_ns: int) -> float:
        return self.rx_at(stop_ns) - self.rx_at(start_ns)

    def tx_between(self, start_ns: int, stop_ns: int) -> float:
        return self.tx_at(stop_ns) - self.tx_at(start_ns)

    def shifted(self, by_ns: int) -> Series:
        return Series(tuple(instant + by_ns for instant in self.at_ns), self.rx_bytes, self.tx_bytes)

    def confined(self, start_ns: int, stop_ns: int) -> Series:
        """The same counts, all of them between two instants: see :func:`confined`."""
        at_ns, rx_bytes = confined(self.at_ns, self.rx_bytes, start_ns, stop_ns)
        tx_bytes = confined(self.at_ns, self.tx_bytes, start_ns, stop_ns)[1]
        return Series(at_ns, rx_bytes, tx_bytes)

    def followed_by(self, rows: Iterable[tuple[int, float, float]]) -> Series:
        """The same with further cumulative rows behind its end."""
        longer = Series.of([*zip(self.at_ns, self.rx_bytes, self.tx_bytes, strict=True), *rows])
        return longer or self

    def shape_of(self, total_rx_bytes: float, start_ns: int, stop_ns: int) -> Series | None:
        """This series' course between two instants, scaled so that ``total_rx_bytes`` were received between them."""
        moved = self.rx_between(start_ns, stop_ns)
        if moved <= 0 or stop_ns <= start_ns:
            return None
        inner = self.at_ns[bisect_right(self.at_ns, start_ns) : bisect_left(self.at_ns, stop_ns)]
        base_rx, base_tx, scale = self.rx_at(start_ns), self.tx_at(start_ns), total_rx_bytes / moved
        return Series.of(
            (instant, (self.rx_at(instant) - base_rx) * scale, self.tx_at(instant) - base_tx)
            for instant in (start_ns, *inner, stop_ns)
        )


READINGS_LIMIT = 10_000_000


def total(series: Sequence[Series]) -> Series | None:
    """The sum of several series at all their instants; before its start each counts nothing.

    Where that would be too many readings, at every so many of their instants and at the last.
    """
    if len(series) < 2:
        return series[0] if series else None
    instants = sorted({instant for each in series for instant in each.at_ns})
    apart = len(series) * len(instants) // READINGS_LIMIT + 1
    instants = [*instants[:-1:apart], instants[-1]]
    return Series.of(
        (instant, sum(each.rx_at(instant) for each in series), sum(each.tx_at(instant) for each in series))
        for instant in instants
    )
