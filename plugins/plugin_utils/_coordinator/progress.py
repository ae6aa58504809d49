# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the operator sees while a run is on, from local knowledge only. Private to this collection.

On a terminal one line lives at the bottom while a sample is on; without one, each change is a line.
``show(text, live)`` is the only way out: the action plugin gives Ansible's display, the tests a list.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

Show = Callable[[str, bool], None]  # (text, live): a live line replaces the one before


def clock_text(seconds: float) -> str:
    """``1:32`` or ``2:01:05``."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


@dataclass
class Progress:
    """The state of the line. ``groups`` gives the number of hosts in each group."""

    show: Show
    groups: dict[str, int]
    samples: int
    columns: Callable[[], int] | None = None  # of the terminal, which may change; None: there is no terminal
    direct: Show | None = None  # takes the place of ``show`` after an interruption
    expected_s: list[float] = field(default_factory=list)  # for each sample, 0 when unknown
    sample: int = 0
    attempt: int = 1
    reached: dict[str, dict[str, str]] = field(default_factory=dict)  # group -> host -> state
    t0_at: float | None = None  # time.monotonic() of T0
    beside_s: float = 1.0  # measured: wall time of a sample beside its window
    _began: float = field(default_factory=time.monotonic)
    _over: bool = False

    @property
    def live(self) -> bool:
        return self.columns is not None

    def begin(self, sample: int, attempt: int, groups: dict[str, int] | None = None) -> None:
        self.sample, self.attempt, self.t0_at = sample, attempt, None
        self.groups = groups or self.groups
        self.reached = {group: {} for group in self.groups}
        self._began = time.monotonic()
        self._over = False

    def host(self, group: str, host: str, state: str) -> None:
        self.reached.setdefault(group, {})[host] = state

    def barrier(self, group: str, state: str) -> None:
        if not self.live:
            self.show(f"{self._where()} · {group} {self.groups[group]}/{self.groups[group]} {state}", False)
        self.tick()

    def window(self, t0_in_s: float) -> None:
        self.t0_at = time.monotonic() + t0_in_s
        if not self.live:
            expected = self._expected()
            self.show(
                f"{self._where()} · window of {expected:.1f} s begins" if expected else f"{self._where()} · window",
                False,
            )

    def note(self, text: str) -> None:
        self.show(text, False)

    def verdict(self, text: str) -> None:
        self.beside_s = max(0.1, time.monotonic() - self._began - self._expected())
        self.t0_at = None
        self._over = True
        self.show(f"{self._where()} · {text}", False)

    def interrupt(self, text: str) -> None:
        """Whoever shows the lines may listen no more: from now on they are few, and take the direct way."""
        self.columns = None
        self.show = self.direct or self.show
        self.note(text)

    def end(self) -> None:
        """Nothing moves any more: the live line goes."""
        if self.live and not self._over:
            self._over = True
            self.show("", True)

    def tick(self) -> None:
        if self.columns and not self._over:
            self.show(self.line(self.columns() - 1), True)

    def line(self, width: int = 1_000) -> str:
        """``servers 3/3 running · clients 2/2 running · window 4.2 / 10.0 s · sample 7/20 · ETA 1:32``.

        Where that does not fit, ``… · 4.2 / 10.0 s · 7/20 · ETA 1:32``.
        """
        whole = " · ".join(self._parts("window ", "sample "))
        if len(whole) > width:
            whole = " · ".join(self._parts("", ""))
        return whole if len(whole) <= width else whole[: max(width - 1, 0)] + "…"

    def _parts(self, window: str, sample: str) -> list[str]:
        parts = []
        for group, number in self.groups.items():
            states = list(self.reached.get(group, {}).values())
            furthest = max(states, key=states.count, default="waiting")
            parts.append(f"{group} {states.count(furthest)}/{number} {furthest}")
        if self.t0_at is not None:
            passed = max(0.0, time.monotonic() - self.t0_at)
            expected = self._expected()
            parts.append(f"{window}{passed:.1f} / {expected:.1f} s" if expected else f"{window}{passed:.1f} s")
        parts.append(f"{sample}{self.sample + 1}/{self.samples}")
        parts.append(f"ETA {clock_text(self.eta_s())}")
        return parts

    def eta_s(self) -> float:
        """Seconds left, from the plan's windows and what samples have cost beside them."""
        ahead = sum(self.expected_s[self.sample :]) + self.beside_s * (self.samples - self.sample)
        return max(0.0, ahead - (time.monotonic() - self._began))

    def _expected(self) -> float:
        return self.expected_s[self.sample] if self.sample < len(self.expected_s) else 0.0

    def _where(self) -> str:
        again = f" (attempt {self.attempt})" if self.attempt > 1 else ""
        return f"sample {self.sample + 1}/{self.samples}{again}"
