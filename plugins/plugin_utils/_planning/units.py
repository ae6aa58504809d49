# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Amounts as people write them: bytes, rates, durations. Private to the collection.

The notation is that of ``s2n-netbench-scenarios``: a small b means bits, ``Ki`` and the like are powers of 1024, and a
rate is an amount ``ps`` or ``/`` a period. Fractions are accepted in addition, where the result is whole. Plain numbers
(not strings) pass through as bytes, bits per second, and seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

Amount = str | int | float

U64_MAX: Final = 2**64 - 1
_SCALES: Final = {
    "": 1,
    **{prefix: 1000**power for power, prefix in enumerate("kmgt", start=1)},
    **{f"{prefix}i": 1024**power for power, prefix in enumerate("kmgt", start=1)},
}
_NANOSECONDS: Final = {
    "ns": 1,
    "us": 1000,
    "µs": 1000,
    "ms": 1000**2,
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1000**3),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60 * 1000**3),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600 * 1000**3),
    **dict.fromkeys(("d", "day", "days"), 86400 * 1000**3),
}
_NUMBER: Final = r"[0-9]{1,20}(?:\.[0-9]{1,12})?"
_BYTES: Final = re.compile(rf"({_NUMBER})\s*([kmgt]i?|[KMGT]i?|)([bB]?)")
_DURATION: Final = re.compile(rf"({_NUMBER})\s*([a-zµ]+)\s*")


class UnitError(ValueError):
    """The text is no amount of the kind that was expected; the message says what is accepted."""


@dataclass(frozen=True)
class Rate:
    """So many bytes in each period. The period is part of it: a short one sends more evenly."""

    bytes: int
    period_ms: int

    @property
    def bps(self) -> float:
        """Bits per second."""
        return self.bytes * 8 * 1000 / self.period_ms


def parse_bytes(value: Amount) -> int:
    """``42`` bytes, ``42b`` bits (rounded up to bytes), ``42KB``, ``42KiB``, ``1.5GB``."""
    if isinstance(value, str):
        match = _BYTES.fullmatch(value.strip())
        if match is None:
            raise UnitError(
                f"{_shown(value)} is no amount of data; write for example 42, 42b (bits), 42KB, 42KiB, 10MB or 1.5GB"
            )
        number, prefix, unit = match.groups()
        exact = Decimal(number) * _SCALES[prefix.lower()]
        exact = (exact / 8).to_integral_value(rounding="ROUND_CEILING") if unit == "b" else exact
    else:
        exact = _plain(value, "bytes")
    if exact != int(exact):
        raise UnitError(f"{_shown(value)} is not a whole number of bytes")
    if exact > U64_MAX:
        raise UnitError(f"{_shown(value)} is more than the format can hold, 2^64 - 1 bytes")
    return int(exact)


def parse_rate(value: Amount) -> Rate:
    """``42Mbps`` bits per second, ``42MBps`` bytes per second, ``42MB/50ms`` an amount for each period."""
    if not isinstance(value, str):
        return Rate(parse_bytes(f"{int(_plain(value, 'bits per second'))}b"), 1000)
    amount, slash, period = value.partition("/")
    if not slash:
        amount, suffix = value.strip()[:-2], value.strip()[-2:]
        if suffix != "ps" or not amount.endswith(("b", "B")):
            raise UnitError(f"{_shown(value)} is no rate; write for example 100Mbps, 42MBps or 42MB/50ms")
    try:
        size, period_ms = parse_bytes(amount.strip()), parse_duration_ms(period) if slash else 1000
    except UnitError as error:
        raise UnitError(f"{_shown(value)} is no rate: {error}") from None
    if not size or not period_ms:
        raise UnitError(f"{_shown(value)} is no rate: neither amount nor period may be zero")
    return Rate(size, period_ms)


def parse_rate_bps(value: Amount) -> int:
    """The rate in whole bits per second; see `parse_rate`."""
    return round(parse_rate(value).bps)


def parse_duration_s(value: Amount) -> float:
    """``10s``, ``50ms``, ``1m30s``, ``1h``, ``2 days``; seconds."""
    return float(_nanoseconds(value) / 1000**3)


def parse_duration_ms(value: Amount) -> int:
    """The duration in milliseconds, which must be whole, as the format counts in them."""
    milliseconds = _nanoseconds(value) / 1000**2
    if milliseconds != int(milliseconds):
        raise UnitError(f"{_shown(value)} is not a whole number of milliseconds")
    return int(milliseconds)


def _nanoseconds(value: Amount) -> Decimal:
    if not isinstance(value, str):
        return _plain(value, "seconds") * 1000**3
    text, total, position = value.strip(), Decimal(0), 0
    while match := _DURATION.match(text, position):
        number, unit = match.groups()
        if unit not in _NANOSECONDS:
            break
        total += Decimal(number) * _NANOSECONDS[unit]
        position = match.end()
    if not text or position != len(text):
        raise UnitError(
            f"{_shown(value)} is no duration; write for example 10s, 50ms, 1m30s or 2h (units: ns us ms s m h d)"
        )
    if total > U64_MAX * 1000**2:
        raise UnitError(f"{_shown(value)} is longer than the format can hold")
    return total


def _plain(value: Amount, unit: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= U64_MAX:
        raise UnitError(f"{_shown(value)} is no number of {unit}; it must be 0 or more, below 2^64")
    return Decimal(str(value))


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else text[:60] + "…"


def format_bytes(count: int) -> str:
    """The shortest exact text that `parse_bytes` reads back: ``10MB``, ``4KiB``, ``1001``."""
    fitting = [(name, scale) for name, scale in _SCALES.items() if count and count % scale == 0]
    name, scale = max(fitting, key=lambda item: item[1], default=("", 1))
    return f"{count // scale}{_cased(name)}B" if name else str(count)


def _cased(prefix: str) -> str:
    return prefix[:1].upper() + prefix[1:]


def format_rate(rate: Rate) -> str:
    """Text that `parse_rate` reads back: ``42MBps``, ``42MB/50ms``."""
    amount = format_bytes(rate.bytes)
    amount = amount if amount.endswith("B") else f"{amount}B"
    return f"{amount}ps" if rate.period_ms == 1000 else f"{amount}/{rate.period_ms}ms"


def format_duration(duration_s: float) -> str:
    """Text that `parse_duration_s` reads back, to the nanosecond: ``1m30s``, ``50ms``."""
    left = round(Decimal(str(duration_s)) * 1000**3)
    parts = []
    for unit in ("d", "h", "m", "s", "ms", "us", "ns"):
        count, left = divmod(left, _NANOSECONDS[unit])
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
