# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the coordinator wrote about a run, as frozen data. Private to this collection.

Source: ``coordinator.jsonl`` and ``plan.json`` of the result folder; the format is in docs/architecture.md, "From the
run to the result folder". The coordinator may have been killed at any instant, and much in its lines came from
workers: a value of the wrong kind is read as missing, a cut last line is ignored, and :attr:`Run.partial` says what
is not there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from . import folder as folders
from .errors import FolderError
from .folder import ResultFolder
from .text import plain_document

VERDICTS = ("ok", "failed", "aborted", "invalid")
Pair = tuple[str, str]  # (client, server)


@dataclass(frozen=True)
class Process:
    """One process of a host in a sample; instants on the worker's monotonic clock."""

    name: str
    start_ns: int | None = None
    stop_ns: int | None = None
    exit_status: int | None = None
    signal: int | str | None = None
    stderr_tail: str = ""
    notes: tuple[str, ...] = ()  # CPUs and priority that the host did not grant


@dataclass(frozen=True)
class HostSample:
    """One host's part in one sample. ``offset_ns``: worker's monotonic clock minus the coordinator's."""

    host: str
    group: str = ""
    index: int = 0
    folder: str = ""
    verdict: str = ""
    reason: str = ""
    processes: tuple[Process, ...] = ()
    offset_ns: int | None = None
    offset_error_ns: int | None = None
    wall_minus_mono_ns: int | None = None
    control_packets: int | None = None
    rx_bytes: int | None = None
    tx_bytes: int | None = None

    @property
    def life(self) -> tuple[int, int] | None:
        """From the first start to the last stop of its processes, on the worker's clock; None unless all ended."""
        starts = [process.start_ns for process in self.processes if process.start_ns is not None]
        stops = [process.stop_ns for process in self.processes if process.stop_ns is not None]
        if not starts or len(stops) < len(self.processes) or max(stops) <= min(starts):
            return None
        return min(starts), max(stops)


@dataclass(frozen=True)
class Window:
    """Last start to first stop on the coordinator's monotonic clock; ``start_wall_ns`` is its start as UTC."""

    start_ns: int
    stop_ns: int
    start_wall_ns: int | None = None


@dataclass(frozen=True)
class Barrier:
    group: str
    state: str
    at_ns: int
    duration_ms: float | None = None


@dataclass(frozen=True)
class Sample:
    """One attempt at one sample, with the coordinator's verdict."""

    sample: int
    attempt: int
    verdict: str
    point: int = 0
    repeat: int = 0
    reason: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    started_utc: str = ""
    t0_ns: int | None = None
    start_skew_us: float | None = None
    start_skew_error_us: float | None = None
    stop_skew_us: float | None = None
    stop_skew_error_us: float | None = None
    window: Window | None = None
    window_s: float | None = None
    lost_window_s: float | None = None
    control_packets: int | None = None
    barriers: tuple[Barrier, ...] = ()
    missing: tuple[str, ...] = ()  # hosts that the run went on without
    hosts: Mapping[str, HostSample] = field(default_factory=dict)
    pairs: tuple[Pair, ...] = ()  # of a matrix, those that took part
    part: str = ""  # which pair of its round
    planned_point: int | None = None  # of the plan, where points have been taken apart

    @property
    def key(self) -> str:
        """``3``, from the second attempt on ``3.2``; of a round's second pair ``3b``, ``3b.2``."""
        return f"{self.sample}{self.part}" + (f".{self.attempt}" if self.attempt > 1 else "")


@dataclass(frozen=True)
class Point:
    """One grid point of the suite, and how many ok samples it was to have."""

    parameters: Mapping[str, Any]
    wanted: int
    receivers: tuple[str, ...] = ()
    t0_groups: tuple[str, ...] = ()
    parsers: Mapping[str, str] = field(default_factory=dict)
    expected_rx_bytes: Mapping[str, int] = field(default_factory=dict)
    pairs: tuple[Pair, ...] = ()
    warm_up: bool = False
    peers: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # by host and process


@dataclass(frozen=True)
class Run:
    """A run as far as it got; ``partial`` says in words what is missing, and is empty for a whole run."""

    run_id: str
    suite: str
    seed: int | None
    plan_sha256: str
    started_utc: str
    ended_utc: str
    verdict: str
    reason: str
    wall_minus_mono_ns: int | None
    versions: Mapping[str, Any]
    tools: Mapping[str, tuple[str, ...]]
    hosts: Mapping[str, Mapping[str, Any]]
    groups: Mapping[str, tuple[str, ...]]
    workload: str
    points: tuple[Point, ...]
    samples: tuple[Sample, ...]
    resumed: bool
    taken_up: tuple[str, ...]  # in words, once for each coordinator after the first
    partial: tuple[str, ...]
    analysis: Mapping[str, Any] = field(default_factory=dict)  # how the suite wishes its results to be judged


def read_run(folder: ResultFolder) -> Run:
    """The run in ``folder``. Raises FolderError when the coordinator left nothing that can be read."""
    content = folders.read(folder.coordinator, limit=1 << 30)
    if content is None:
        raise FolderError(f"{folder.coordinator} is missing or not a readable file. Is this the folder of a run?")
    events = [plain_document(line) for line in folders.json_lines(content)]
    heads = [event for event in events if event.get("event") == "run"]
    if not heads:
        raise FolderError(
            f"{folder.coordinator} has no line 'run': the coordinator ended before it began. Start the run again."
        )
    plan = plain_document(folders.json_object(folders.read(folder.plan, limit=1 << 30) or b"") or {})
    head = {**plan, **{name: value for name, value in heads[0].items() if value not in (None, "", [], {})}}
    end = next((event for event in reversed(events) if event.get("event") == "end"), None)
    samples = _samples(event for event in events if event.get("event") == "sample")
    points = _points(head, samples)
    workload = head.get("workload")
    return Run(
        run_id=_text(head, "run_id") or folder.run_id,
        suite=_text(head, "suite"),
        seed=_integer(head, "seed"),
        plan_sha256=_text(head, "plan_sha256") or _text(plan, "sha256"),
        started_utc=_text(head, "started_utc"),
        ended_utc=_text(end or {}, "ended_utc") or _text(end or {}, "utc"),
        verdict=_text(end or {}, "verdict"),
        reason=_text(end or {}, "reason"),
        wall_minus_mono_ns=_integer(head, "wall_minus_mono_ns"),
        versions=_mapping(head, "versions"),
        tools=_tools(plan),
        hosts={name: _mapping(_mapping(head, "hosts"), name) for name in _mapping(head, "hosts")},
        groups={
            name: tuple(map(str, hosts)) for name, hosts in _mapping(head, "groups").items() if isinstance(hosts, list)
        },
        workload=str(workload.get("name", "") if isinstance(workload, dict) else workload or ""),
        points=points,
        samples=samples,
        resumed=_resumed(events),
        taken_up=tuple(_taken_up(event) for event in events if event.get("event") == "resumed"),
        partial=tuple(_missing(folder, events, samples)),
        analysis=_mapping(plan, "analysis"),
    )


def measured_only(run: Run) -> Run:
    """Without warm-ups, whose points come behind the measured ones."""
    measured = tuple(point for point in run.points if not point.warm_up)
    samples = tuple(sample for sample in run.samples if sample.point < len(measured))
    return replace(run, points=measured, samples=samples)


def _resumed(events: list[dict[str, Any]]) -> bool:
    """A second coordinator took the run up: it says so, or begins an attempt that had begun before.

    Where the first one was to leave in the middle (``until``) it wrote ``paused``; the next begin is the other half.
    """
    begun = [
        (_integer(event, "sample"), _integer(event, "attempt")) for event in events if event.get("event") == "begin"
    ]
    kinds = [event.get("event") for event in events]
    again = len(begun) - len(set(begun))
    return kinds.count("end") > 1 or again > kinds.count("paused") or "resumed" in kinds


def _taken_up(event: Mapping[str, Any]) -> str:
    left = [number for number in _list(event, "left_behind")[:1] if isinstance(number, int)]
    under_way = f" and sample {left[0]} was under way" if left else ""
    count = _integer(event, "ok") or 0
    there = f"{count} ok {'sample was' if count == 1 else 'samples were'} there{under_way}"
    return f"taken up again at {_text(event, 'utc')[11:19]} UTC, after its coordinator had ended: {there}"


def _missing(folder: ResultFolder, events: list[dict[str, Any]], samples: tuple[Sample, ...]) -> list[str]:
    """In words, what a whole run would have and this one has not."""
    notes = []
    last = events[-1].get("event") if events else None
    if last == "unfetched":
        notes.append("a host could not be reached at the end: the same command will fetch what it has")
    elif last != "end":
        notes.append("the coordinator did not reach its end: it was killed, or the run is still on")
    told = {(sample.sample, sample.attempt) for sample in samples}
    begun = {
        (_integer(event, "sample"), _integer(event, "attempt")) for event in events if event.get("event") == "begin"
    }
    if cut := sorted(str(number) for number, attempt in begun - told if number is not None):
        notes.append(f"begun, but without a verdict: sample {', '.join(cut)}")
    lost = {
        host.host
        for sample in samples
        if sample.verdict == "ok"
        for host in sample.hosts.values()
        if not host.folder or not folder.outputs(host.host, host.folder).is_dir()
    }
    if lost:
        notes.append(f"no outputs of some ok samples are here from {', '.join(sorted(lost))}")
    return notes


def _tools(plan: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """The programs that ran, with the sha256 that the workers were to check: one unless hosts differ."""
    found: dict[str, set[str]] = {}
    for worker in _mapping(plan, "workers").values():
        points = _list(_mapping(worker, "document"), "points") if isinstance(worker, dict) else []
        for point in (each for each in points if isinstance(each, dict)):
            for process in (each for each in _list(point, "processes") if isinstance(each, dict)):
                command = _list(process, "command")
                name = str(command[0]).rsplit("/", 1)[-1] if command else "?"
                found.setdefault(name, set()).update([_text(process, "sha256")] if _text(process, "sha256") else [])
    return {name: tuple(sorted(hashes)) for name, hashes in sorted(found.items())}


def _points(head: Mapping[str, Any], samples: tuple[Sample, ...]) -> tuple[Point, ...]:
    repeats = _integer(head, "repeats")
    order = [entry.get("point") if isinstance(entry, dict) else entry for entry in _list(head, "samples")]
    planned = Counter(point for point in order if isinstance(point, int))
    done: dict[int, set[int]] = {}
    for sample in samples:
        done.setdefault(sample.point, set()).add(sample.sample)
    listed = [entry if isinstance(entry, dict) else {} for entry in _list(head, "points")]
    seen = {sample.point: sample for sample in samples}
    count = max([len(listed), *(index + 1 for index in seen)])
    points = []
    for index in range(min(count, 100_000)):
        entry = listed[index] if index < len(listed) else {}
        points.append(
            Point(
                parameters=_named(entry) or (seen[index].parameters if index in seen else {}),
                wanted=planned[index] or repeats or len(done.get(index, ())),
                receivers=tuple(map(str, _list(entry, "receivers"))),
                t0_groups=tuple(map(str, _list(entry, "t0_groups"))),
                pairs=_pairs(entry),
                warm_up=entry.get("warm_up") is True,
                parsers={group: name for group, name in _mapping(entry, "parsers").items() if isinstance(name, str)},
                peers=_peers(_mapping(entry, "links")),
                expected_rx_bytes={
                    host: figures["rx_bytes"]
                    for host, figures in _mapping(entry, "evidence").items()
                    if isinstance(figures, dict)
                    and figures.get("exact") is True
                    and _integer(figures, "rx_bytes") is not None
                },
            )
        )
    return tuple(points)


def _named(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A point's parameters, and the name of its test."""
    return {**({"test_name": _text(entry, "test")} if _text(entry, "test") else {}), **_mapping(entry, "parameters")}


def _peers(links: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """The host at the other end, for processes that are there once per link."""
    return {
        host: {
            process: link["peer"]
            for process, link in _mapping(links, host).items()
            if isinstance(link, dict) and isinstance(link.get("peer"), str)
        }
        for host in links
    }


def _samples(events: Any) -> tuple[Sample, ...]:
    """Samples in order; of two lines about one attempt (a run taken up again) the later one counts."""
    found = {(sample.sample, sample.attempt): sample for sample in map(_sample, events) if sample}
    return tuple(found[key] for key in sorted(found))


def _sample(event: Mapping[str, Any]) -> Sample | None:
    number, verdict = _integer(event, "sample"), event.get("verdict")
    point = _integer(event, "point") or 0
    if number is None or not 0 <= number <= 9_999_999 or verdict not in VERDICTS or not 0 <= point < 100_000:
        return None
    figures: dict[str, Any] = {name: _number(event, name) for name in _FIGURES}
    window = _mapping(event, "window")
    start, stop = _integer(window, "start_ns"), _integer(window, "stop_ns")
    return Sample(
        sample=number,
        attempt=min(max(_integer(event, "attempt") or 1, 1), 9999),
        verdict=str(verdict),
        point=point,
        planned_point=point,
        pairs=_pairs(event),
        repeat=_integer(event, "repeat") or 0,
        reason=_text(event, "reason"),
        parameters=_mapping(event, "parameters"),
        started_utc=_text(event, "started_utc"),
        t0_ns=_integer(event, "t0_ns"),
        window=Window(start, stop, _integer(window, "start_wall_ns")) if start and stop and stop > start else None,
        control_packets=_integer(event, "control_packets"),
        missing=tuple(_mapping(event, "missing")),
        barriers=tuple(
            Barrier(
                _text(entry, "group"),
                _text(entry, "state"),
                _integer(entry, "at_ns") or 0,
                _number(entry, "duration_ms"),
            )
            for entry in _list(event, "barriers")
            if isinstance(entry, dict) and _integer(entry, "at_ns") is not None
        ),
        hosts={name: _host(name, _mapping(_mapping(event, "hosts"), name)) for name in _mapping(event, "hosts")},
        **figures,
    )


_FIGURES = ("start_skew_us", "start_skew_error_us", "stop_skew_us", "stop_skew_error_us", "window_s", "lost_window_s")


def _host(name: str, entry: Mapping[str, Any]) -> HostSample:
    folder = _text(entry, "folder")
    return HostSample(
        host=name,
        group=_text(entry, "group"),
        index=_integer(entry, "index") or 0,
        folder=folder if folders.is_sample_name(folder) else "",
        verdict=_text(entry, "verdict"),
        reason=_text(entry, "reason"),
        processes=tuple(_process(each) for each in _list(entry, "processes") if isinstance(each, dict)),
        **{name: _integer(entry, name) for name in _COUNTS},
    )


_COUNTS = ("offset_ns", "offset_error_ns", "wall_minus_mono_ns", "control_packets", "rx_bytes", "tx_bytes")


def _process(entry: Mapping[str, Any]) -> Process:
    signal = entry.get("signal")
    return Process(
        name=_text(entry, "name"),
        start_ns=_integer(entry, "start_ns"),
        stop_ns=_integer(entry, "stop_ns"),
        exit_status=_integer(entry, "exit_status"),
        signal=signal if isinstance(signal, (int, str)) else None,
        stderr_tail=_text(entry, "stderr_tail"),
        notes=tuple(note for note in _list(entry, "notes") if isinstance(note, str)),
    )


def _integer(entry: Mapping[str, Any], name: str) -> int | None:
    value = entry.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 63 else None


def _number(entry: Mapping[str, Any], name: str) -> float | None:
    value = entry.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 1e300:
        return None
    return float(value) if math.isfinite(value) else None


def _pairs(entry: Mapping[str, Any]) -> tuple[Pair, ...]:
    return tuple(
        (str(pair[0]), str(pair[1])) for pair in _list(entry, "pairs") if isinstance(pair, list) and len(pair) == 2
    )


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""


def _mapping(entry: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = entry.get(name)
    return value if isinstance(value, dict) else {}


def _list(entry: Mapping[str, Any], name: str) -> list[Any]:
    value = entry.get(name)
    return value if isinstance(value, list) else []
