# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""report.html: one file that opens without a network. Private to this collection.

The tables are HTML from here and readable without scripts; the charts are drawn by assets/report.js with the embedded
plotly.js from the data below. Host names, reasons and parameters come from elsewhere: every one is escaped, and a
content security policy lets run only the two scripts whose hashes it names, and lets nothing be loaded.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from .errors import MissingLibrary
from .metrics import better, unit
from .page import body
from .samples import Measured
from .summary import PointSummary, Summary, label

_ASSETS = Path(__file__).parent / "assets"


def render(summary: Summary, measured: Sequence[Measured], charts: Sequence[Mapping[str, Any]]) -> str:
    """The whole page. Raises MissingLibrary without plotly."""
    library = _plotly()
    script = _asset("report.js")
    style = _asset("report.css")
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_source(library)} {_source(script)}",
            "style-src 'unsafe-inline'",  # plotly.js sets styles on what it draws
            "img-src data: blob:",  # a chart saved as an image
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    run = summary.run
    title = f"{run.suite} · {run.run_id}"
    return "".join(
        (
            "<!DOCTYPE html>\n",
            "<!-- SPDX-License-Identifier: GPL-3.0-or-later (plotly.js: MIT, see its own header) -->\n",
            '<html lang="en">\n<head>\n<meta charset="utf-8">\n',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n',
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n',
            '<meta name="color-scheme" content="light dark">\n',
            f"<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n",
            body(summary, measured),
            f'<script id="data" type="application/json">{_embedded(_data(summary, measured, charts))}</script>\n',
            f"<script>{library}</script>\n<script>{script}</script>\n</body>\n</html>\n",
        )
    )


def _plotly() -> str:
    """The chart library as a script."""
    try:
        from plotly.offline import get_plotlyjs
    except ImportError as error:
        raise MissingLibrary(library="plotly", feature="the charts of report.html") from error
    return str(get_plotlyjs()).replace("</script", "<\\/script")


def _asset(name: str) -> str:
    return (_ASSETS / name).read_text(encoding="utf-8")


def _source(script: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(script.encode('utf-8')).digest()).decode('ascii')}'"


def _embedded(value: Any) -> str:
    """JSON that cannot end its own script element."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _data(summary: Summary, measured: Sequence[Measured], charts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What report.js draws."""
    names = dict.fromkeys(name for point in summary.points for name in point.metrics)
    return {
        "metrics": [{"name": name, "unit": unit(name), "better": better(name)} for name in names],
        "points": [_point_data(summary, point) for point in summary.points],
        "samples": [
            {
                "key": each.sample.key,
                "verdict": each.sample.verdict,
                "point": label(summary, summary.points[each.sample.point]),
                "start_skew_us": each.sample.start_skew_us,
                "start_skew_error_us": each.sample.start_skew_error_us,
                **chart,
            }
            for each, chart in zip(measured, charts, strict=True)
        ],
    }


def _point_data(summary: Summary, point: PointSummary) -> dict[str, Any]:
    values: dict[str, list[float]] = {}
    for each in point.used:
        for name, value in each.figures().items():
            values.setdefault(name, []).append(float(f"{value:.6g}"))
    return {
        "label": label(summary, point),
        "metrics": {
            name: {
                "median": described.median,
                "low": described.median_interval.low if described.median_interval else None,
                "high": described.median_interval.high if described.median_interval else None,
                "confidence": described.median_interval.confidence if described.median_interval else None,
                "values": values[name],
                "samples": [each.sample.key for each in point.used if name in each.figures()],
                "outliers": list(described.outliers),
            }
            for name, described in point.metrics.items()
        },
    }
