# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table at the end of a run, for a terminal of 80 columns and more. Private to this collection."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence

from .expectations import BROKEN, HOLDS, OPEN
from .samples import Measured
from .show import digits, like, micros, scaled
from .summary import OK, UNEXPECTED, PointSummary, Summary, label, remarks, story, varying
from .text import plain

_COLOURS = {
    "ok": "32",
    "failed": "31",
    "aborted": "35",
    "invalid": "33",
    "partial": "33",
    "incomplete": "33",
    "unexpected": "31",
    "dim": "2",
    "bold": "1",
}
_HEAD = ("sample", "verdict", "start skew", "window", "goodput", "per host")
_WIDTHS = (6, 7, 12, 7, 11, 14)
ROWS_SHOWN = 60
Paint = Callable[[str, str], str]  # (kind or verdict, text) -> text
SHARES_SHOWN = 3
FAVOURS_SHOWN = 5


def render(summary: Summary, measured: Sequence[Measured], *, width: int = 80, colour: bool = False) -> str:
    """The whole table; every text in it is plain (see :mod:`.text`), colours only if asked for."""
    paint = _painter(colour)
    names = varying(summary)
    shown, hidden = _worth_showing(measured)
    rows = [_cells(each, names, summary) for each in shown]
    widths = [max(least, *(len(row[at]) for row in rows), 0) for at, least in enumerate(_WIDTHS)]
    lines = [paint("dim", _line([*_HEAD, ", ".join(names)], widths, width))]
    for each, row in zip(shown, rows, strict=True):
        lines += _sample(each, _line(row, widths, width), widths, width, paint)
    if hidden:
        lines.append(paint("dim", f"… and {hidden} more ok samples, in samples.csv"))
    lines += ["", *(_point(summary, point, width, paint) for point in summary.points), ""]
    lines += _expected(summary, width, paint)
    lines += _said(summary, measured, width)
    lines.append(f"{paint('bold', 'verdict')}  {paint(summary.verdict, summary.verdict)}{_why(summary)}")
    return "\n".join(lines)


def _painter(colour: bool) -> Paint:
    def paint(kind: str, text: str) -> str:
        return f"\x1b[{_COLOURS[kind]}m{text}\x1b[0m" if colour and kind in _COLOURS else text

    return paint


def _worth_showing(measured: Sequence[Measured]) -> tuple[list[Measured], int]:
    """All samples of a short run; of a long one the first few, and every one that is not plainly ok."""
    if len(measured) <= ROWS_SHOWN:
        return list(measured), 0
    shown = [each for i, each in enumerate(measured) if i < 5 or each.sample.verdict != "ok" or each.sample.attempt > 1]
    return shown, len(measured) - len(shown)


def _line(cells: Sequence[str], widths: Sequence[int], width: int) -> str:
    padded = [cell.ljust(size) for cell, size in zip(cells, widths, strict=False)]
    return _cut(" ".join([*padded, *cells[len(widths) :]]).rstrip(), width)


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _cells(each: Measured, names: Sequence[str], summary: Summary) -> list[str]:
    sample = each.sample
    parameters = summary.points[sample.point].parameters
    return [
        sample.key,
        sample.verdict,
        micros(sample.start_skew_us, sample.start_skew_error_us),
        f"{digits(sample.window_s)} s" if sample.window_s is not None else "–",
        scaled(each.goodput_bps, "bit/s"),
        shares(each),
        ", ".join(str(parameters.get(name, "")) for name in names),
    ]


def _sample(each: Measured, line: str, widths: Sequence[int], width: int, paint: Paint) -> list[str]:
    sample = each.sample
    verdict = sample.verdict.ljust(widths[1])
    head, tail = line[: widths[0] + 1], line[widths[0] + 1 + len(verdict) :]
    painted = head + paint(sample.verdict, verdict) + tail
    if sample.verdict == "ok" and sample.missing:
        return [painted, _cut(f"       without {plain(', '.join(sample.missing))}", width)]
    if sample.verdict == "ok" or not sample.reason:
        return [painted]
    why = textwrap.wrap(plain(sample.reason, limit=400), max(width - 7, 20), max_lines=3, placeholder=" …")
    return [painted, *(f"       {part}" for part in why)]


def shares(each: Measured) -> str:
    """Each receiver's part of the sum: ``50 50 %`` for a few, ``4.9–5.1 % × 20`` for many."""
    parts = list(each.shares_bps.values())
    whole = sum(parts)
    if len(parts) < 2 or whole <= 0:
        return ""
    percent = [100 * part / whole for part in parts]
    if len(percent) <= SHARES_SHOWN:
        return " ".join(digits(part, 2) for part in percent) + " %"
    return f"{digits(min(percent), 2)}–{digits(max(percent), 2)} % × {len(percent)}"


def _point(summary: Summary, point: PointSummary, width: int, paint: Paint) -> str:
    """``response_size=1000: goodput 3.98 Gbit/s (3.90 … 4.01 at 97 %), 6 of 6 ok``."""
    described = point.metrics.get("goodput_bps")
    goodput = "goodput unknown"
    if described:
        interval = described.median_interval
        goodput = f"goodput {scaled(described.median, 'bit/s')}"
        if interval:
            low, high = like(interval.low, described.median), like(interval.high, described.median)
            goodput += f" ({low} … {high} at {interval.confidence:.0%})"
    count = f", {len(point.used)} of {point.wanted} ok"
    name = _cut(f"{label(summary, point)}", max(width - len(goodput) - len(count) - 2, 12))
    return f"{name}: {goodput}" + (count if point.verdict == OK else paint(point.verdict, count))


def _said(summary: Summary, measured: Sequence[Measured], width: int) -> list[str]:
    """What happened on the way, one line each."""
    packets = [each.sample.control_packets for each in measured if each.sample.control_packets is not None]
    notes = []
    if packets:
        notes.append(
            f"control packets in the windows: {sum(packets)} (counted in {len(packets)} of {len(measured)} samples)"
        )
    else:
        notes.append("control packets in the windows: not counted (no counter on these hosts)")
    told = [each.sample.reason for each in measured[-1:]]  # in the sample's own row
    notes += [note for note in story(summary, measured) if not any(why and why in note for why in told)]
    notes += remarks(measured)[:FAVOURS_SHOWN]
    return [
        line
        for note in notes
        for line in textwrap.wrap(plain(note), width, subsequent_indent="  ", max_lines=4, placeholder=" …")
    ]


def _expected(summary: Summary, width: int, paint: Paint) -> list[str]:
    """Each expectation at each grid point, in a line that says why it holds or not."""
    lines = []
    for each in summary.judgements[:ROWS_SHOWN]:
        where = (
            f" ({label(summary, summary.points[each.point])})" if each.point >= 0 and len(summary.points) > 1 else ""
        )
        kind = {HOLDS: "ok", BROKEN: "failed"}.get(each.verdict, "invalid")
        wrapped = textwrap.wrap(plain(each.why + where, limit=400), max(width - 9, 20), subsequent_indent=" " * 9)
        lines += [f"{paint(kind, each.verdict.ljust(8))} {wrapped[0]}", *wrapped[1:]]
    left = len(summary.judgements) - ROWS_SHOWN
    return [
        *lines,
        *([f"… and {left} more expectations, in summary.json"] if left > 0 else []),
        *([""] if lines else []),
    ]


def _why(summary: Summary) -> str:
    if summary.verdict == UNEXPECTED:
        broken = sum(each.verdict == BROKEN for each in summary.judgements)
        open_ = sum(each.verdict == OPEN for each in summary.judgements)
        return f": of {len(summary.judgements)} expectations {broken} do not hold and {open_} are open"
    short = [point for point in summary.points if point.verdict != OK]
    if not short:
        return ""
    missing = sum(point.wanted - len(point.used) for point in short)
    are = "sample is" if missing == 1 else "samples are"
    return f": {missing} ok {are} missing, at {len(short)} of {len(summary.points)} grid points"
