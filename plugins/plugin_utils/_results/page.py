# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report's words and tables as HTML. Private to this collection.

Every text is escaped here, where it becomes HTML; :class:`Html` marks the few cells that are HTML already.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from . import heatmap
from .records import Run
from .samples import Measured
from .show import digits, like, micros, scaled
from .statistics import CONFIDENCE
from .summary import Summary, label, remarks, story
from .table import shares


def body(summary: Summary, measured: Sequence[Measured]) -> str:
    return "".join(
        (
            _header(summary, measured),
            "<main>\n",
            _notes(summary, measured),
            _results(summary),
            _expectations(summary),
            heatmap.section(summary),
            _sample_section(measured),
            _samples(summary, measured),
            _excluded(summary),
            _hosts(summary.run),
            _reading(),
            "</main>\n",
        )
    )


def _header(summary: Summary, measured: Sequence[Measured]) -> str:
    run = summary.run
    ok, wanted = sum(len(point.used) for point in summary.points), sum(point.wanted for point in summary.points)
    worst = max((each for point in summary.points for each in point.used), key=_skew, default=None)
    goodputs = [point.metrics["goodput_bps"].median for point in summary.points if "goodput_bps" in point.metrics]
    packets = [each.sample.control_packets for each in measured if each.sample.control_packets is not None]
    tiles = [
        ("median goodput", _range(goodputs)),
        ("ok samples", f"{ok} of {wanted}"),
        ("worst start skew", micros(worst.sample.start_skew_us, worst.sample.start_skew_error_us) if worst else "–"),
        ("control packets in the windows", str(sum(packets)) if packets else "not counted"),
        ("hosts", ", ".join(f"{len(hosts)} {group}" for group, hosts in run.groups.items()) or str(len(run.hosts))),
    ]
    return (
        f'<header>\n<div class="line"><h1>{escape(run.suite or run.run_id)}</h1>{_badge(summary.verdict)}</div>\n'
        f'<p class="dim">{escape(run.run_id)} · {escape(_when(run))} · seed {escape(str(run.seed))}</p>\n'
        '<dl class="tiles">\n'
        + "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>\n" for name, value in tiles)
        + "</dl>\n</header>\n"
    )


def _skew(each: Measured) -> float:
    return each.sample.start_skew_us if each.sample.start_skew_us is not None else -1.0


def _range(values: Sequence[float]) -> str:
    if not values:
        return "–"
    low, high = like(min(values), max(values)), scaled(max(values), "bit/s")
    return high if high.startswith(f"{low} ") else f"{low} … {high}"


def _when(run: Run) -> str:
    begin, end = run.started_utc[:19].replace("T", " "), run.ended_utc[11:19]
    return f"{begin}{' – ' + end if end else ''} UTC"


def _badge(verdict: str) -> str:
    mark = {
        "ok": "✓",
        "failed": "✕",
        "aborted": "■",
        "invalid": "!",
        "partial": "!",
        "incomplete": "!",
        "holds": "✓",
        "broken": "✕",
        "open": "?",
        "unexpected": "✕",
    }.get(verdict, "?")
    return f'<span class="badge {escape(verdict, quote=True)}">{mark} {escape(verdict)}</span>'


def _notes(summary: Summary, measured: Sequence[Measured]) -> str:
    notes = [*story(summary, measured), *remarks(measured)]
    if not notes:
        return ""
    return '<section class="note"><ul>' + "".join(f"<li>{escape(note)}</li>" for note in notes) + "</ul></section>\n"


def _results(summary: Summary) -> str:
    rows = []
    for point in summary.points:
        described = point.metrics.get("goodput_bps")
        interval = described.median_interval if described else None
        between = f"{scaled(interval.low, 'bit/s')} … {scaled(interval.high, 'bit/s')}" if interval else "–"
        rows.append(
            [
                label(summary, point),
                Html(_badge(point.verdict)),
                f"{len(point.used)} of {point.wanted}",
                scaled(described.median, "bit/s") if described else "–",
                between,
                f"{interval.confidence:.1%}" if interval else "–",
                f"{described.variation:.2%}" if described and described.variation is not None else "–",
            ]
        )
    head = ("grid point", "verdict", "ok samples", "median goodput", "interval", "confidence", "variation")
    return (
        '<section id="results">\n<h2>Results</h2>\n'
        '<div class="controls"><label>Metric <select id="metric"></select></label>'
        '<span id="better" class="dim"></span></div>\n'
        f"{_chart('results', 'Each grid point: samples, median and interval')}{_table(head, rows)}"
        '<p class="dim">The interval of the median rests on ranks only, whatever the distribution. '
        f"Fewer than six samples cannot reach {CONFIDENCE:.0%}: the confidence says what the interval really has.</p>\n"
        "</section>\n"
    )


def _expectations(summary: Summary) -> str:
    if not summary.judgements:
        return ""
    rows = [
        [
            Html(_badge(each.verdict)),
            each.expectation,
            label(summary, summary.points[each.point]) if each.point >= 0 else "anywhere",
            each.metric or "–",
            each.why,
        ]
        for each in summary.judgements
    ]
    head = ("verdict", "expected", "grid point", "metric", "why")
    return f'<section id="expectations">\n<h2>Expectations</h2>\n{_table(head, rows)}</section>\n'


def _chart(name: str, what: str, *, size: str = "") -> str:
    return f'<div class="chart {size}" id="chart-{name}" role="img" aria-label="{escape(what, quote=True)}"></div>\n'


def _sample_section(measured: Sequence[Measured]) -> str:
    if not measured:
        return ""
    return (
        '<section id="one">\n<h2>One sample over time</h2>\n'
        '<div class="controls"><button id="before" type="button" aria-label="previous sample">‹</button>'
        '<label>Sample <select id="sample"></select></label>'
        '<button id="next" type="button" aria-label="next sample">›</button><span id="said"></span></div>\n'
        + _chart("goodput", "Goodput per host over time", size="tall")
        + '<div class="grid">\n'
        + _chart("cpu", "CPU per host over time")
        + _chart("retransmits", "TCP retransmits per host over time")
        + _chart("starts", "Start of each host after T0")
        + _chart("skew", "Start skew of every sample")
        + "</div>\n<noscript><p>The charts need scripts; every number is in the tables below.</p></noscript>\n"
        "</section>\n"
    )


def _samples(summary: Summary, measured: Sequence[Measured]) -> str:
    rows = []
    for each in measured:
        sample = each.sample
        rows.append(
            [
                Html(f'<a href="#one" data-sample="{escape(sample.key, quote=True)}">{escape(sample.key)}</a>'),
                Html(_badge(sample.verdict)),
                label(summary, summary.points[sample.point]),
                micros(sample.start_skew_us, sample.start_skew_error_us),
                micros(sample.stop_skew_us, sample.stop_skew_error_us),
                f"{digits(sample.window_s)} s" if sample.window_s is not None else "–",
                f"{digits(sample.lost_window_s)} s" if sample.lost_window_s is not None else "–",
                scaled(each.goodput_bps, "bit/s"),
                each.goodput_source or "–",
                shares(each) or "–",
                "–" if sample.control_packets is None else str(sample.control_packets),
                sample.started_utc[11:23],
            ]
        )
    head = (
        "sample", "verdict", "grid point", "start skew", "stop skew", "window", "lost", "goodput", "known from",
        "per host", "control packets", "T0 (UTC)",
    )  # fmt: skip
    return f'<section id="samples">\n<h2>Samples and start skew</h2>\n{_table(head, rows)}</section>\n'


def _excluded(summary: Summary) -> str:
    rows = [
        [
            each.sample.key,
            Html(_badge(each.sample.verdict)),
            label(summary, point),
            each.sample.reason or "no reason was given",
        ]
        for point in summary.points
        for each in point.excluded
    ]
    text = "No figure above contains these attempts." if rows else "Nothing was excluded."
    table = _table(("sample", "verdict", "grid point", "why"), rows) if rows else ""
    return f'<section id="excluded">\n<h2>Excluded</h2>\n<p>{text}</p>\n{table}</section>\n'


_HOST_FACTS = ("group", "index", "address", "os", "kernel", "cpus")


def _hosts(run: Run) -> str:
    rows = [
        [name, *(_said(facts, each) for each in _HOST_FACTS), _clock(facts.get("clock"))]
        for name, facts in run.hosts.items()
    ]
    versions = [[name, str(version)] for name, version in run.versions.items() if not isinstance(version, (dict, list))]
    tools = run.versions.get("tool_versions")
    versions += [[name, str(version)] for name, version in tools.items()] if isinstance(tools, dict) else []
    versions += [
        [f"program {name}", ", ".join(f"sha256 {each[:16]}…" for each in hashes) or "of the host, not checksummed"]
        for name, hashes in run.tools.items()
    ]
    versions += [["workload", run.workload], ["plan", f"sha256 {run.plan_sha256[:16]}…" if run.plan_sha256 else "–"]]
    head = ("host", "group", "index", "address", "system", "kernel", "CPUs", "clock")
    return (
        f'<section id="hosts">\n<h2>Hosts</h2>\n{_table(head, rows)}</section>\n'
        f'<section id="versions">\n<h2>Versions</h2>\n{_table(("what", "version"), versions)}</section>\n'
    )


def _said(facts: Mapping[str, Any], name: str) -> str:
    value = facts.get(name)
    return "–" if value is None or value == "" else str(value)


def _clock(clock: Any) -> str:
    """``synchronised to ± 812 µs, tsc``; what the host's own clock discipline claims."""
    if not isinstance(clock, dict):
        return "–" if clock is None else str(clock)
    known = {"synchronized", "max_error_us", "est_error_us", "freq_ppm", "status", "clocksource"}
    bound = clock.get("max_error_us")
    within = f" to ± {micros(bound)}" if isinstance(bound, (int, float)) and clock.get("synchronized") is True else ""
    words = {"True": f"synchronised{within}", "False": "not synchronised"}.get(str(clock.get("synchronized")), "")
    rest = [f"{name} {value}" for name, value in clock.items() if name not in known and value is not None]
    return ", ".join(filter(None, [words, str(clock.get("clocksource") or ""), *rest])) or "–"


def _reading() -> str:
    return (
        '<section id="reading">\n<h2>How to read this</h2>\n'
        "<p>The <b>window</b> is the time in which all members were active, from the last start to the first stop. "
        "<b>Goodput</b> is what the receivers got inside the window, divided by its length; "
        "<b>start skew</b> is last start minus first start, with the bound of its error from the clock survey. "
        "Rates in the charts are averages over short bins of exact byte counts. "
        "An outlier (Tukey's fences) is marked and stays in every figure.</p>\n"
        "</section>\n"
    )


class Html(str):
    """A cell that is HTML already; everything else is escaped."""


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    headings = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        "<tr>"
        + "".join(f"<td>{cell if isinstance(cell, Html) else escape(str(cell))}</td>" for cell in row)
        + "</tr>\n"
        for row in rows
    )
    return f'<div class="scroll"><table><thead><tr>{headings}</tr></thead><tbody>\n{body}</tbody></table></div>\n'
