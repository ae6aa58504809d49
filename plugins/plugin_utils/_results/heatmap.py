# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The matrix in the report: clients down, servers across, a cell for each pair. Private to this collection.

It is a plain HTML table, readable without scripts and without colours: each cell says the median and the spread
(minimum to maximum); a pair whose median is unusual among all pairs is marked with ◆.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from .metrics import LOWER, better, unit
from .pairs import grouped, metrics_of, pair_of, pair_points, unusual
from .records import Pair
from .show import like, scaled
from .statistics import Description
from .summary import OK, PointSummary, Summary

TABLES = 12  # in all; pairs.csv has the rest
FIRST = ("goodput_bps", "transaction_rate", "latency", "rtt_", "throughput")
METRICS = 4
Marked = frozenset[tuple[int, Pair]]


def section(summary: Summary) -> str:
    """The section of report.html; empty for a run that is no matrix."""
    points = pair_points(summary)
    if not points:
        return ""
    tables = []
    for metric in _chosen(metrics_of(points)):
        marked = unusual(points, metric)
        tables += [_table(name, group, metric, marked) for name, group in grouped(points).items()]
    left = (
        f"<p>{len(tables) - TABLES} more tables are left out; pairs.csv has everything.</p>" if tables[TABLES:] else ""
    )
    return (
        '<section id="matrix">\n<h2>Matrix</h2>\n<p class="dim">Rows are clients, columns servers: the median, and from'
        " minimum to maximum. Darker is better. ◆ marks a median outside Tukey's fences of all pairs; it is in every"
        f" figure.</p>\n{''.join(tables[:TABLES])}{left}</section>\n"
    )


def _chosen(metrics: Sequence[str]) -> list[str]:
    """The few metrics that most people come for."""
    ranked = [name for word in FIRST for name in metrics if word in name and not name.endswith((".count", "_count"))]
    return list(dict.fromkeys(ranked))[:METRICS] or list(metrics[:1])


def _table(name: str, points: Sequence[PointSummary], metric: str, marked: Marked) -> str:
    clients = list(dict.fromkeys(str(point.parameters["client"]) for point in points))
    servers = list(dict.fromkeys(str(point.parameters["server"]) for point in points))
    cells = {pair_of(point): point for point in points}
    medians = [point.metrics[metric].median for point in points if metric in point.metrics]
    title = escape(f"{metric}{f' · {name}' if name else ''}")
    if not medians:
        return f"<h3>{title}</h3>\n<p>No pair has been measured.</p>\n"
    head = "".join(f'<th scope="col">{escape(server)}</th>' for server in servers)
    rows = "".join(
        f'<tr><th scope="row">{escape(client)}</th>'
        + "".join(_cell(cells.get((client, server)), metric, medians, marked) for server in servers)
        + "</tr>\n"
        for client in clients
    )
    return (
        f'<h3>{title}</h3>\n<div class="scroll"><table class="matrix"><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>\n{rows}</tbody></table></div>\n"
    )


def _cell(point: PointSummary | None, metric: str, medians: Sequence[float], marked: Marked) -> str:
    if point is None:
        return "<td></td>"
    described = point.metrics.get(metric)
    if described is None:
        why = point.excluded[-1].sample.reason if point.excluded else "not measured"
        return f'<td title="{escape(why, quote=True)}">✕</td>'
    incomplete = "" if point.verdict == OK else f" ({len(point.used)} of {point.wanted})"
    mark = "◆ " if (point.point, pair_of(point)) in marked else ""
    shade = _shade(described.median, medians, metric)
    return (
        f'<td style="background:rgba(46,125,190,{shade:.2f})">{mark}{escape(scaled(described.median, unit(metric)))}'
        f'{incomplete}<br><span class="dim">{escape(_spread(described))}</span></td>'
    )


def _spread(described: Description) -> str:
    return f"{like(described.minimum, described.median)} … {like(described.maximum, described.median)}"


def _shade(value: float, medians: Sequence[float], metric: str) -> float:
    low, high = min(medians), max(medians)
    share = (value - low) / (high - low) if high > low else 0.5
    return 0.05 + 0.5 * (1 - share if better(metric) == LOWER else share)
