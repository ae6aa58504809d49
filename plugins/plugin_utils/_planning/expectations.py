# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a suite expects of its results: names, units and bounds. Pure. Private to this collection.

``{throughput_min: 9Gbps, latency_p99_max: 200us}``. The words are those of netperf-orchestrate's profiles, and numbers
without a unit are in netperf's: throughput in 10^6 bit/s, times in µs, the rest as it is. Any metric of samples.csv can
be named as well, in its own unit: ``clients.latency.request.p99_us_max: 500``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...module_utils._protocol import schema
from ...module_utils._protocol.schema import Path, SchemaError, suggestion
from . import units

PERCENTILES = ("p50", "p90", "p95", "p99")
TIMES = ("mean", "min", "max", *PERCENTILES)


def _latency(what: str) -> str:
    return rf".*latency(\.[a-z0-9_-]+\.|_){what}_us"


def _known() -> dict[str, tuple[str, str]]:
    """Word -> (pattern of the metric's name, kind of unit)."""
    words = {
        "throughput": ("goodput_bps", "rate"),
        "goodput": ("goodput_bps", "rate"),
        "transaction_rate": (r".*transaction_rate", "number"),
        "transactions": (r".*transaction_rate", "number"),
        "latency": (_latency("mean"), "time"),
        "jitter": (r".*jitter(_[a-z]+)*_(us|ms)", "time"),
        "packet_loss": (r".*lost_pct", "number"),
        "loss": (r".*lost_pct", "number"),
        "retransmits": (r"clients\.tcp_retransmits", "number"),
        "cpu": (r"clients\.cpu_cores", "number"),
        "local_cpu": (r".*cpu_local_pct", "number"),
        "remote_cpu": (r".*cpu_remote_pct", "number"),
        "start_skew": ("start_skew_us", "time"),
    }
    for each in TIMES:
        words |= {name: (_latency(each), "time") for name in (f"latency_{each}", f"{each}_latency")}
    return words


KNOWN = _known()
BOUNDS = ("min", "max")


@dataclass(frozen=True)
class Expectation:
    """``bound``: min or max; ``limit`` in the metric's own unit, times in µs. ``text`` is what the user wrote."""

    name: str
    pattern: str
    bound: str
    limit: float
    kind: str
    text: str

    @property
    def of_transactions(self) -> bool | None:
        """Whether it is about transactions, or about bulk traffic; None when it is about either."""
        if self.name.startswith(("throughput_", "goodput_")):
            return False
        return True if "latency" in self.name.split(".")[0] else None


def check(given: Mapping[str, Any], path: Path = ("expectations",)) -> list[Expectation]:
    """Raises SchemaError for a name that is not known, with a suggestion, and for a value that is no such quantity."""
    found = []
    for name, value in given.items():
        here = (*path, name)
        word, _mark, bound = name.rpartition("_")
        if bound not in BOUNDS:
            raise SchemaError(here, f"{name!r} ends neither with _min nor with _max.", name)
        if word in KNOWN:
            pattern, kind = KNOWN[word]
        elif "." in word:
            pattern, kind = word.replace(".", r"\."), "number"
        else:
            raise SchemaError(here, f"nothing is known of {word!r}.{suggestion(word, list(KNOWN))}", name)
        found.append(Expectation(name, pattern, bound, _READ[kind](value, here), kind, f"{name}: {value}"))
    names = {each.name: each for each in found}
    for each in found:
        other = names.get(each.name.removesuffix("min") + "max") if each.bound == "min" else None
        if other and other.limit < each.limit:
            raise SchemaError((*path, other.name), f"is below {each.text}.", other.name)
    return found


def _number(value: Any, path: Path) -> float:
    return float(schema.number(minimum=0)(value, path))


def _quantity(parse: Callable[[str], float], scale: float, without_unit: float) -> Callable[[Any, Path], float]:
    """A number in netperf's unit, or a text with a unit of its own."""

    def read(value: Any, path: Path) -> float:
        if not isinstance(value, str):
            return _number(value, path) * without_unit
        try:
            return parse(value) * scale
        except units.UnitError as problem:
            raise SchemaError(path, f"{problem}.", value) from None

    return read


_READ: Mapping[str, Callable[[Any, Path], float]] = {
    "number": _number,
    "rate": _quantity(units.parse_rate_bps, 1.0, 1e6),
    "time": _quantity(units.parse_duration_s, 1e6, 1.0),
}
