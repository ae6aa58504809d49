# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Amounts: what the original accepts means the same here, and what is written back is read again."""

from __future__ import annotations

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import units
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.units import Rate, UnitError
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("42b", 6),
        ("42", 42),
        ("42B", 42),
        ("42K", 42_000),
        ("42Kb", 5_250),
        ("42KB", 42_000),
        ("42 kB", 42_000),
        ("42Kib", 5_376),
        ("42KiB", 43_008),
        ("42Mb", 5_250_000),
        ("42MiB", 44_040_192),
        ("42Gb", 5_250_000_000),
        ("42TiB", 46_179_488_366_592),
        ("1.5GB", 1_500_000_000),
        (42, 42),
        (42.0, 42),
    ],
)
def test_bytes(text, count):
    assert units.parse_bytes(text) == count


@pytest.mark.parametrize(
    ("text", "rate", "bps"),
    [
        ("42bps", Rate(6, 1000), 48),
        ("42Mbps", Rate(5_250_000, 1000), 42_000_000),
        ("42MBps", Rate(42_000_000, 1000), 336_000_000),
        ("42MiBps", Rate(44_040_192, 1000), 352_321_536),
        ("42MB/50ms", Rate(42_000_000, 50), 6_720_000_000),
        ("42Kb / 50ms", Rate(5_250, 50), 840_000),
        (8_000, Rate(1000, 1000), 8_000),
    ],
)
def test_rates(text, rate, bps):
    assert units.parse_rate(text) == rate
    assert units.parse_rate_bps(text) == bps


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("10s", 10),
        ("50ms", 0.05),
        ("1m30s", 90),
        ("1s 42ms", 1.042),
        ("2 hours", 7200),
        ("1d", 86400),
        ("1.5s", 1.5),
        (3, 3),
    ],
)
def test_durations(text, seconds):
    assert units.parse_duration_s(text) == seconds


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (units.parse_bytes, "ten", "'ten' is no amount of data; write for example 42, 42b"),
        (units.parse_bytes, "", "'' is no amount of data"),
        (units.parse_bytes, "-1", "'-1' is no amount of data"),
        (units.parse_bytes, "1e3", "'1e3' is no amount of data"),
        (units.parse_bytes, "10mbit", "'10mbit' is no amount of data"),
        (units.parse_bytes, "1.5", "'1.5' is not a whole number of bytes"),
        (units.parse_bytes, "20000000TiB", "'20000000TiB' is more than the format can hold"),
        (units.parse_bytes, True, "True is no number of bytes"),
        (units.parse_bytes, -1, "-1 is no number of bytes"),
        (units.parse_bytes, float("nan"), "nan is no number of bytes"),
        (units.parse_rate, "10MB", "'10MB' is no rate; write for example 100Mbps, 42MBps or 42MB/50ms"),
        (units.parse_rate, "10Mps", "'10Mps' is no rate"),
        (units.parse_rate, "10MB/5", "'10MB/5' is no rate: '5' is no duration"),
        (units.parse_rate, "10MB/10us", "'10MB/10us' is no rate: '10us' is not a whole number of milliseconds"),
        (units.parse_rate, "0bps", "'0bps' is no rate: neither amount nor period may be zero"),
        (units.parse_duration_s, "10", "'10' is no duration; write for example 10s, 50ms, 1m30s or 2h"),
        (units.parse_duration_s, "10 parsecs", "'10 parsecs' is no duration"),
        (units.parse_duration_s, "s", "'s' is no duration"),
        (units.parse_duration_ms, "1.5ms", "'1.5ms' is not a whole number of milliseconds"),
        (units.parse_duration_s, "x" * 10_000, "'xxxx"),
    ],
)
def test_what_is_no_amount_is_refused_with_what_is_accepted(parse, text, message):
    with pytest.raises(UnitError) as caught:
        parse(text)
    assert str(caught.value).startswith(message)
    assert len(str(caught.value)) < 200


@given(st.integers(0, units.U64_MAX))
def test_bytes_are_read_as_they_were_written(count):
    assert units.parse_bytes(units.format_bytes(count)) == count


@given(st.integers(1, units.U64_MAX), st.integers(1, 10**6))
def test_rates_are_read_as_they_were_written(count, period_ms):
    assert units.parse_rate(units.format_rate(Rate(count, period_ms))) == Rate(count, period_ms)


@given(st.integers(0, 10**15))
def test_durations_are_read_as_they_were_written(nanoseconds):
    seconds = nanoseconds / 10**9
    assert units.parse_duration_s(units.format_duration(seconds)) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    ("text", "shortest"), [("1000", "1KB"), ("1024", "1KiB"), ("1001", "1001"), ("1000000", "1MB"), ("0", "0")]
)
def test_the_shortest_exact_unit_is_written(text, shortest):
    assert units.format_bytes(units.parse_bytes(text)) == shortest


@given(st.text(max_size=30))
def test_any_text_is_an_amount_or_refused(text):
    for parse in (units.parse_bytes, units.parse_rate, units.parse_duration_s):
        try:
            parse(text)
        except UnitError as error:
            assert str(error).isprintable()  # noqa: PT017 - either outcome is right
