# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The line that the record gets for each sample: everything the report needs besides the raw files. Private to this
collection.

Instants are on the coordinator's monotonic clock, those inside ``hosts`` on that worker's; see docs/architecture.md.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .._planning.plan import RunPlan
from .clock import Bound, Skew
from .measured import HostFacts, Measured, measure
from .record import utc, wall_minus_mono_ns
from .rounds import Pairs
from .text import clean
from .walk import Course, Walk

OTHERS, OTHERS_CHARACTERS = 3, 200  # hosts that failed as well, in a reason


def sample_line(
    plan: RunPlan,
    key: tuple[int, int],
    *,
    state: Walk,
    course: Course,
    facts: Mapping[str, Mapping[str, Any]],
    before: Mapping[str, Bound],
    after: Mapping[str, Bound],
    t0_ns: int | None,
    began_ns: int,
    barriers: list[dict[str, Any]],
    failures: Mapping[str, str],
    spoken: str | None = None,
    spoke_ns: int | None = None,
    missing: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The line of a walk that is over. ``facts`` are the workers' own, checked; ``key`` is (sample, attempt).

    ``failures`` are the hosts' own reasons: which of them was heard first decided the verdict, not which was the cause.

    ``spoken`` says why the window was not silent, when that is known. ``spoke_ns`` is when something was first said
    to a host again. Before the window's end that is too early. In both cases nobody has counted the packets.
    ``missing`` are hosts that the run goes on without, and why.
    """
    planned = plan.samples[key[0]]
    pairs = [list(pair) for pair in plan.points[planned.point].pairs if set(pair) <= set(course.hosts)]
    point = plan.points[planned.point]
    hosts = {
        host: HostFacts(
            course.group_of(host), known, before.get(host), after.get(host), _offsets_ns(plan, host, planned.point)
        )
        for host, known in facts.items()
    }
    measured = measure(hosts, point.t0_groups)
    verdict, reason = _verdict(state, facts, failures, measured, point.max_start_skew_us)
    if verdict == "ok" and spoken:
        verdict, reason = "invalid", spoken
    back_early = spoke_ns is not None and measured.window_stop_ns is not None and spoke_ns < measured.window_stop_ns
    if spoken or back_early:
        facts = {host: {**known, "control_packets": None} for host, known in facts.items()}
        hosts = {host: replace(about, facts=facts[host]) for host, about in hosts.items()}
    packets = [known["control_packets"] for known in facts.values() if known.get("control_packets") is not None]
    wall_ns = wall_minus_mono_ns()
    return {
        "sample": key[0],
        "attempt": key[1],
        "point": planned.point,
        "repeat": planned.repeat,
        "parameters": point.named,
        **({"pairs": pairs} if pairs else {}),
        "started_utc": utc((t0_ns or began_ns) + wall_ns),
        "verdict": verdict,
        "reason": reason,
        "t0_ns": t0_ns,
        "start_skew_us": _us(measured.start, "skew_ns"),
        "start_skew_error_us": _us(measured.start, "error_ns"),
        "stop_skew_us": _us(measured.stop, "skew_ns"),
        "stop_skew_error_us": _us(measured.stop, "error_ns"),
        "window": {
            "start_ns": measured.window_start_ns,
            "stop_ns": measured.window_stop_ns,
            "start_wall_ns": measured.window_start_ns + wall_ns,
        }
        if measured.window_start_ns is not None
        else None,
        "window_s": None if measured.window_ns is None else measured.window_ns / 1e9,
        "lost_window_s": None if measured.lost_window_ns is None else measured.lost_window_ns / 1e9,
        "control_packets": sum(packets) if packets else None,
        "barriers": barriers,
        **({"missing": dict(missing)} if missing else {}),
        "hosts": {
            host: _host(plan, planned.point, host, state, course, hosts.get(host), failures.get(host))
            for host in course.hosts
        },
    }


def lost_line(plan: RunPlan, key: tuple[int, int], pairs: Pairs, reason: str) -> dict[str, Any]:
    """The line of pairs that nobody could walk."""
    planned = plan.samples[key[0]]
    return {
        "sample": key[0],
        "attempt": key[1],
        "point": planned.point,
        "repeat": planned.repeat,
        "parameters": plan.points[planned.point].named,
        "pairs": [list(pair) for pair in pairs],
        "started_utc": utc(time.time_ns()),
        "verdict": "failed",
        "reason": reason,
        "start_skew_us": None,
        "window_s": None,
        "barriers": [],
        "hosts": {},
    }


def headline(line: Mapping[str, Any]) -> str:
    """``ok · start skew 34 ± 6 µs · window 10.00 s · without client2``, or the verdict and its reason."""
    if line["verdict"] != "ok":
        return f"{line['verdict']}: {line['reason']}"
    parts = ["ok"]
    if line["start_skew_us"] is not None:
        parts.append(f"start skew {line['start_skew_us']:.0f} ± {line['start_skew_error_us']:.0f} µs")
    if line["window_s"] is not None:
        parts.append(f"window {line['window_s']:.2f} s")
    if line.get("missing"):
        parts.append(f"without {', '.join(line['missing'])}")
    return " · ".join(parts)


def _verdict(
    state: Walk,
    facts: Mapping[str, Mapping[str, Any]],
    failures: Mapping[str, str],
    measured: Measured,
    limit_us: float | None,
) -> tuple[str, str | None]:
    verdict = state.verdict or "failed"
    if verdict == "ok" and limit_us is not None and measured.start and measured.start.skew_ns / 1e3 > limit_us:
        problem = f"start skew {measured.start.skew_ns / 1e3:.0f} µs is above max_start_skew, {limit_us:g} µs"
        return "invalid", problem
    if not state.culprit:
        return verdict, state.reason
    reason = f"{state.culprit}: {state.reason}"
    tails = [clean(p["stderr_tail"]) for p in facts.get(state.culprit, {}).get("processes", [])]
    last = [line.strip() for tail in tails for line in tail.splitlines() if line.strip()][-3:]
    others = [f"{host}: {why[:OTHERS_CHARACTERS]}" for host, why in failures.items() if host != state.culprit]
    also = f"; also {'; '.join(others[:OTHERS])}" if others else ""
    return verdict, (f"{reason}; stderr: {' / '.join(last)}" if last else reason) + also


def _host(
    plan: RunPlan, point: int, host: str, state: Walk, course: Course, known: HostFacts | None, failure: str | None
) -> dict[str, Any]:
    group = course.group_of(host)
    offset = known.offset() if known else None
    done = state.rank(host) == len(course.states[group]) - 1
    failed = host == state.culprit or failure is not None
    return {
        "group": group,
        "index": plan.groups_at(point)[group].index(host),
        "verdict": "done" if done else "failed" if failed else "aborted" if known else "lost",
        "reason": state.reason if host == state.culprit else failure,
        "offset_ns": offset.middle_ns if offset else None,
        "offset_error_ns": offset.error_ns if offset else None,
        **(known.facts if known else {}),
    }


def _offsets_ns(plan: RunPlan, host: str, point: int) -> dict[str, int]:
    processes = plan.workers[host].document["points"][point]["processes"]
    return {process["name"]: int(process["offset_s"] * 1e9) for process in processes if process["offset_s"]}


def _us(skew: Skew | None, name: str) -> float | None:
    return None if skew is None else round(getattr(skew, name) / 1e3, 1)
