# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who takes part in a run: hosts that are not there, are dropped, or come back. Private to this collection.

Of a matrix a host that is not there costs its pairs. Else the suite's policy decides, see :mod:`.absence`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from .._planning.plan import RunPlan
from .absence import Absence
from .endpoint import Endpoint
from .errors import CoordinatorError
from .fleet import Fleet, cannot_take_part
from .progress import Progress
from .record import Record
from .sample import SampleWalk


class Attendance:
    """``endpoints`` are those of the hosts that take part, ``absent`` the others of a matrix, ``missing`` those that
    the run goes on without, by the policy ``drop``; with the reason each.
    """

    def __init__(
        self, plan: RunPlan, endpoints: Mapping[str, Endpoint], absent: Mapping[str, str], progress: Progress
    ) -> None:
        self.absent = dict(absent)
        self.endpoints = {host: endpoint for host, endpoint in endpoints.items() if host not in absent}
        self._plan = plan
        self._progress = progress
        self._absence = Absence(plan)

    @property
    def missing(self) -> Mapping[str, str]:
        return self._absence.missing

    async def open(self, fleet: Fleet) -> None:
        """Attaches to the hosts. Raises CoordinatorError when there is no going on without those that are not there."""
        drops = self._plan.on_host_failure == "drop"
        problems = await fleet.open(all_needed=not (self._plan.is_matrix or drops))
        if drops and not self._plan.is_matrix:
            self._begin_without(problems)
            return
        self.absent.update(problems)
        for host, why in self.absent.items():
            self.endpoints.pop(host, None)
            self._progress.note(f"{host} cannot take part, its pairs are lost: {why}")

    def _begin_without(self, problems: Mapping[str, str]) -> None:
        if problems and (objection := self._absence.objection(problems)):
            told = cannot_take_part(problems, len(self.endpoints))
            raise CoordinatorError(f"{told}\nThe run cannot go on without {objection}")
        self._absence.drop(problems, lost=True)
        for host, why in problems.items():
            self._progress.note(f"beginning without {host}: {why}")

    async def goes_on_without(
        self, fleet: Fleet, record: Record, line: dict[str, Any], sample: SampleWalk | None
    ) -> bool:
        """By the policy ``drop``: leaves out the hosts that have spoiled a sample, if the run makes sense without them.

        Whoever is gone is to blame before whoever said so first. What still runs on such a host ends by itself.
        """
        if self._plan.on_host_failure != "drop" or sample is None:
            return False
        await fleet.whole()
        gone = fleet.unreachable() & set(line["hosts"])
        failed = {host for host, about in line["hosts"].items() if about["verdict"] == "failed"} - gone
        objection = self._absence.objection(gone or failed)
        if objection:
            line["reason"] = f"{line['reason']}; the run cannot go on without {objection}"
        if objection or not (gone or sample.culprit):
            return False
        blamed = sorted(gone) or [str(sample.culprit)]
        why = {host: line["hosts"][host]["reason"] or line["reason"] or "failed" for host in blamed}
        self._absence.drop(why, lost=bool(gone))
        for host, reason in why.items():
            record.write("dropped", host=host, reason=reason, sample=line["sample"], attempt=line["attempt"])
            self._progress.note(f"going on without {host}: {reason}")
        if gone:
            await asyncio.sleep(max(0.0, sample.over_s() - time.monotonic()))
        return True

    async def welcome_back(self, fleet: Fleet, record: Record) -> list[str]:
        """Hosts that could not be reached and can be again: they take part in the samples that follow."""
        back = [host for host in self._absence.may_return() if await fleet.try_again(host)]
        for host in back:
            self._absence.back(host)
            record.write("returned", host=host)
            self._progress.note(f"{host} is back, and takes part again")
        return back
