# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What comes after the last sample: everything is fetched, the record gets its end, the plan loses its secrets. Private
to this collection.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from .._planning.plan import FILE_NAME as PLAN_NAME
from .._planning.plan import RunPlan, without_secrets
from .collect import Collected, collect
from .endpoint import Endpoint
from .outcome import Outcome
from .record import Record

COLLECT_S = 600.0
PARALLEL = 8
PATIENCE_S = 60.0  # a host boots in that time, a network is mended


async def bring_home(
    plan: RunPlan, folder: Path, endpoints: Iterable[Endpoint], *, patience_s: Callable[[str], float]
) -> list[Collected]:
    """Fetches and verifies what every host has, whatever the verdict. ``patience_s`` is each host's, at any time."""
    gate = asyncio.Semaphore(PARALLEL)

    async def one(endpoint: Endpoint) -> Collected:
        async with gate:
            patience = partial(patience_s, endpoint.host)
            return await collect(endpoint, plan.run_id, folder, timeout_s=COLLECT_S, patience=patience)

    return list(await asyncio.gather(*(one(endpoint) for endpoint in endpoints)))


def end(plan: RunPlan, folder: Path, record: Record, outcome: Outcome) -> None:
    """Unless all is well but for a host that could not be reached: then the run can be taken up for what it has."""
    collected = {c.host: {"files": c.files, "bytes": c.size_bytes, "problem": c.problem} for c in outcome.collected}
    away = [each for each in outcome.collected if each.unreachable and each.host not in outcome.missing]
    if outcome.verdict == "ok" and away:
        record.write("unfetched", collected=collected)
        return
    record.write("end", verdict=outcome.verdict, reason=outcome.reason, collected=collected)
    record.sync()
    _forget_secrets(plan, folder)


def _forget_secrets(plan: RunPlan, folder: Path) -> None:
    """The plan is kept to be read, not to be walked."""
    path = folder / PLAN_NAME
    draft = path.with_suffix(".draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(without_secrets(plan), file, separators=(",", ":"))
    draft.replace(path)
