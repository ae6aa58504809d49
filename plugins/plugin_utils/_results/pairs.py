# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A matrix pair by pair: its rounds taken apart, pairs.csv, and the rows that netperf-orchestrate exported. Private to
this collection.

In a round whose pairs share no host, each pair is a measurement of its own: it becomes a grid point (``client`` and
``server`` are its parameters) and has samples of its own, so everything that is said of points is said of pairs. A
round of pairs that share hosts stays whole, since only its sum means something.
"""

from __future__ import annotations

import csv
import io
import json
import shlex
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from . import folder as folders
from .folder import ResultFolder
from .records import HostSample, Pair, Point, Process, Run, Sample
from .samples import COLUMNS, pair_name
from .statistics import outliers
from .summary import PointSummary, Summary

PAIRS = "pairs"  # the parameter that tells a workload who works with whom
TEXT_LIMIT = 256 * 1024  # of one program's output in export.json


def by_pair(run: Run) -> Run:
    """The run with each pair of its rounds as a point and samples of its own; any other run as it is."""
    if not any(_divisible(point.pairs) for point in run.points):
        return run
    places = {host: number for number, host in enumerate(host for group in run.groups.values() for host in group)}
    keys = [(index, pair) for index, point in enumerate(run.points) for pair in _parts(point.pairs)]
    order = {_text(point.parameters): number for number, point in reversed(list(enumerate(run.points)))}
    keys.sort(
        key=lambda key: (
            order[_text(run.points[key[0]].parameters)],
            [places.get(host, len(places)) for host in key[1] or ()],
        )
    )
    numbers = {key: number for number, key in enumerate(keys)}
    samples = [part for sample in run.samples for part in _taken_apart(sample, run.points[sample.point], numbers)]
    return replace(
        run, points=tuple(_pair_point(run.points[index], pair) for index, pair in keys), samples=tuple(samples)
    )


def _text(parameters: Mapping[str, Any]) -> str:
    return json.dumps(_without_pairs(parameters), sort_keys=True, default=str)


def _without_pairs(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if name != PAIRS}


def _divisible(pairs: Sequence[Pair]) -> bool:
    hosts = [host for pair in pairs for host in pair]
    return bool(pairs) and len(hosts) == len(set(hosts))


def _parts(pairs: Sequence[Pair]) -> Sequence[Pair | None]:
    return pairs if _divisible(pairs) else [None]


def _pair_point(point: Point, pair: Pair | None) -> Point:
    if pair is None:
        return point
    return replace(point, parameters={**_without_pairs(point.parameters), **_named(pair)}, pairs=(pair,))


def _named(pair: Pair) -> dict[str, str]:
    return {"client": pair[0], "server": pair[1]}


def _taken_apart(sample: Sample, point: Point, numbers: Mapping[tuple[int, Pair | None], int]) -> Iterator[Sample]:
    if not _divisible(point.pairs):
        yield replace(sample, point=numbers[sample.point, None])
        return
    guilty = {host for host, entry in sample.hosts.items() if entry.verdict == "failed"}
    for pair in sample.pairs:
        if (sample.point, pair) not in numbers:
            continue
        innocent = sample.verdict == "failed" and guilty and not guilty & set(pair)
        hosts = {host: sample.hosts[host] for host in pair if host in sample.hosts}
        packets = [host.control_packets for host in hosts.values() if host.control_packets is not None]
        yield replace(
            sample,
            point=numbers[sample.point, pair],
            part=_letters(point.pairs.index(pair)),
            parameters={**_without_pairs(sample.parameters), **_named(pair)},
            pairs=(pair,),
            hosts=hosts,
            verdict="aborted" if innocent else sample.verdict,
            reason=f"another pair of its round failed: {sample.reason}" if innocent else sample.reason,
            control_packets=sum(packets) if packets else None,
        )


def _letters(number: int) -> str:
    """a, b, … z, aa, ab, …"""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = string.ascii_lowercase[rest] + text
    return text


# pairs.csv

FIGURES = ("n", "median", "low", "high", "confidence", "mean", "minimum", "maximum", "standard_deviation", "variation")
NO_FIGURE = {*COLUMNS} - {"goodput_bps"}


def pair_points(summary: Summary) -> list[PointSummary]:
    """Every pair as a point: those that are one, and the parts of those that are measured together."""
    found = []
    for point in summary.points:
        pairs = summary.run.points[point.point].pairs
        if len(pairs) == 1 and set(_named(pairs[0])) <= set(point.parameters):
            found.append(point)
        else:
            found += [_part(point, pair) for pair in pairs]
    return found


def _part(point: PointSummary, pair: Pair) -> PointSummary:
    prefix = f"{pair_name(*pair)}."
    metrics = {name.removeprefix(prefix): each for name, each in point.metrics.items() if name.startswith(prefix)}
    return replace(point, parameters={**_without_pairs(point.parameters), **_named(pair)}, metrics=metrics)


def pair_of(point: PointSummary) -> Pair:
    return str(point.parameters["client"]), str(point.parameters["server"])


def metrics_of(points: Iterable[PointSummary]) -> list[str]:
    """What pairs are compared by: goodput and the programs' own figures, not those of single hosts."""
    names = dict.fromkeys(name for point in points for name in point.metrics)
    return [name for name in names if name not in NO_FIGURE and not name.startswith(("host.", "pair."))]


def unusual(points: Sequence[PointSummary], metric: str) -> frozenset[tuple[int, Pair]]:
    """(point, pair) whose median lies outside Tukey's fences of the medians of all pairs with the same parameters."""
    found: set[tuple[int, Pair]] = set()
    for group in grouped(points).values():
        known = [point for point in group if metric in point.metrics]
        marked = outliers([point.metrics[metric].median for point in known])
        found |= {(known[position].point, pair_of(known[position])) for position in marked}
    return frozenset(found)


def grouped(points: Iterable[PointSummary]) -> dict[str, list[PointSummary]]:
    """Pairs by everything that they have in common, as a text: ``duration=10``; empty when nothing varies."""
    listed = list(points)
    names = [
        name
        for name in dict.fromkeys(name for point in listed for name in point.parameters)
        if name not in ("client", "server", PAIRS) and len({str(point.parameters.get(name)) for point in listed}) > 1
    ]
    groups: dict[str, list[PointSummary]] = {}
    for point in listed:
        groups.setdefault(", ".join(f"{name}={point.parameters.get(name)}" for name in names), []).append(point)
    return groups


def to_csv(summary: Summary) -> str:
    """pairs.csv: a row for each pair and grid point, with the figures of every metric."""
    points = pair_points(summary)
    metrics = metrics_of(points)
    marks = {metric: unusual(points, metric) for metric in metrics}
    parameters = list(dict.fromkeys(name for point in points for name in point.parameters))
    rest = [name for name in parameters if name not in ("client", "server")]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["client", "server", "client_address", "server_address", "verdict", "ok", "wanted", "failed"]
        + [f"param.{name}" for name in rest]
        + [f"{metric}.{figure}" for metric in metrics for figure in (*FIGURES, "outliers", "unusual")]
    )
    for point in points:
        client, server = pair_of(point)
        row: list[Any] = [client, server, _address(summary.run, client), _address(summary.run, server)]
        row += [point.verdict, len(point.used), point.wanted, len(point.excluded)]
        row += [point.parameters.get(name) for name in rest]
        for metric in metrics:
            row += _figures(point, metric, marks[metric])
        writer.writerow([_written(cell) for cell in row])
    return out.getvalue()


def _figures(point: PointSummary, metric: str, marked: frozenset[tuple[int, Pair]]) -> list[Any]:
    described = point.metrics.get(metric)
    if described is None:
        return [None] * (len(FIGURES) + 2)
    interval = described.median_interval
    between = {name: getattr(interval, name, None) for name in ("low", "high", "confidence")}
    figures = [between[name] if name in between else getattr(described, name) for name in FIGURES]
    return [*figures, len(described.outliers), "yes" if (point.point, pair_of(point)) in marked else "no"]


def _written(cell: Any) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return str(int(cell)) if cell.is_integer() and abs(cell) < 1e15 else f"{cell:.9g}"
    text = json.dumps(cell) if isinstance(cell, (dict, list, bool)) else str(cell)
    return "'" + text if text.startswith(("=", "+", "-", "@", "'")) and not isinstance(cell, int) else text


def _address(run: Run, host: str) -> str:
    return str(run.hosts.get(host, {}).get("address", ""))


# export.json


def export(folder: ResultFolder, run: Run) -> list[dict[str, Any]]:
    """netperf-orchestrate's rows: one for each program of a client and the server that it worked with, also of
    attempts that failed. ``run`` as it was recorded, or by pair."""
    commands = _commands(folder)
    rows = []
    for sample in run.samples:
        for client, server in sample.pairs:
            host = sample.hosts.get(client)
            programs: Sequence[Process | None] = _programs(sample, client, server) or [None]
            for process in programs:
                rows.append(
                    {
                        "client": client,
                        "server": server,
                        "client_address": _address(run, client),
                        "server_address": _address(run, server),
                        "success": sample.verdict == "ok",
                        "exit_code": process.exit_status if process else None,
                        "elapsed_time": _elapsed_s(process),
                        "stdout": _output(folder, host, process, "stdout"),
                        "stderr": _output(folder, host, process, "stderr") or (sample.reason if not process else ""),
                        "command": commands.get((client, sample.planned_point, process.name if process else ""), ""),
                        "sample": sample.key,
                    }
                )
    return rows


def _programs(sample: Sample, client: str, server: str) -> list[Process]:
    """The client's programs that worked with this server: they come in the order of its pairs."""
    host = sample.hosts.get(client)
    servers = [other for one, other in sample.pairs if one == client]
    if host is None or not servers:
        return []
    each = max(1, len(host.processes) // len(servers))
    first = servers.index(server) * each
    return list(host.processes[first : first + each])


def _elapsed_s(process: Process | None) -> float | None:
    if process is None or process.start_ns is None or process.stop_ns is None:
        return None
    return round((process.stop_ns - process.start_ns) / 1e9, 6)


def _output(folder: ResultFolder, host: HostSample | None, process: Process | None, kind: str) -> str:
    if host is None or process is None or not host.folder or "/" in process.name:
        return ""
    content = folders.read(folder.outputs(host.host, host.folder) / f"{process.name}.{kind}", limit=TEXT_LIMIT)
    return (content or b"").decode("utf-8", "replace")


def _commands(folder: ResultFolder) -> dict[tuple[str, int | None, str], str]:
    """The command line of each program by host, point of the plan and name."""
    plan = folders.json_object(folders.read(folder.plan, limit=1 << 30) or b"") or {}
    found: dict[tuple[str, int | None, str], str] = {}
    workers = plan.get("workers")
    for host, worker in workers.items() if isinstance(workers, dict) else ():
        document = worker.get("document") if isinstance(worker, dict) else None
        points = document.get("points") if isinstance(document, dict) else None
        for index, point in enumerate(points if isinstance(points, list) else ()):
            processes = point.get("processes") if isinstance(point, dict) else None
            for process in processes if isinstance(processes, list) else ():
                if isinstance(process, dict) and isinstance(process.get("command"), list):
                    found[host, index, str(process.get("name"))] = shlex.join(map(str, process["command"]))
    return found
