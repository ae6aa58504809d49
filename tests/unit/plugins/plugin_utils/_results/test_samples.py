# SPDX-License-Identifier: GPL-3.0-or-later
"""From raw files to rows: the truth that the fixture put in comes out."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.folder import ResultFolder
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.records import read_run
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.samples import (
    COLUMNS,
    Cell,
    Measured,
    from_csv,
    measure,
    row,
    to_csv,
)
from hypothesis import given
from hypothesis import strategies as st

WriteRun = Callable[..., Path]
CONTRACT = """sample attempt started_utc verdict reason hosts start_skew_us start_skew_error_us stop_skew_us window_s
lost_window_s control_packets rx_bytes tx_bytes goodput_bps"""


def measured(path: Path) -> list[Measured]:
    folder = ResultFolder(path)
    run = read_run(folder)
    return [measure(folder, run, sample) for sample in run.samples]


def test_goodput_is_the_true_rate_inside_the_window_on_clocks_hours_apart(write_run: WriteRun) -> None:
    for each in measured(write_run(clients=3, rate_bytes_s=1e8)):
        assert each.goodput_bps == pytest.approx(3 * 8e8 * (1 + each.sample.point), rel=1e-6)
        assert each.goodput_source == "driver"
        assert each.rx_bytes == pytest.approx((each.goodput_bps or 0) / 8 * (each.sample.window_s or 0))


def test_the_interface_sees_the_same_bytes_but_for_its_headers(write_run: WriteRun) -> None:
    for each in measured(write_run()):
        cells = row(each)
        assert cells["clients.interface_rx_bytes"] == pytest.approx((each.rx_bytes or 0) * 1.02, rel=1e-3)
        assert cells["clients.cpu_cores"] == pytest.approx(2 * 0.6, rel=0.05)


def test_hosts_on_loopback_share_one_interface_which_then_says_nothing(write_run: WriteRun) -> None:
    apart = row(measured(write_run())[0])
    together = row(measured(write_run(address="127.0.10.{}", seconds=6.0, repeats=3))[0])
    assert "clients.interface_rx_bytes" in apart
    assert "clients.interface_rx_bytes" not in together
    retransmits = [cells["clients.tcp_retransmits"] for cells in (apart, together)]
    assert retransmits[1] == pytest.approx(float(retransmits[0] or 0) / 2, rel=0.1), "one machine's counter counts once"


def test_a_receiver_without_outputs_leaves_the_sum_empty_not_smaller(write_run: WriteRun) -> None:
    path = write_run()
    for name in ("statistics.jsonl", "sampler.jsonl"):
        (path / "hosts" / "client-1" / "0000" / name).unlink()
    cells = row(measured(path)[0])
    assert (cells["goodput_bps"], cells["rx_bytes"], cells["goodput_source"]) == (None, None, "")
    assert cells["host.client-0.goodput_bps"]


def test_percentiles_are_of_all_clients_together(write_run: WriteRun) -> None:
    each = measured(write_run(clients=4))[0]
    cells = row(each)
    counts = [data.parsed.latencies["request"].count for name, data in each.hosts.items() if name in each.receivers]
    assert cells["clients.latency.request.count"] == sum(counts)
    assert (
        0 < float(cells["clients.latency.request.p50_us"] or 0) <= float(cells["clients.latency.request.p99_us"] or 0)
    )


def test_the_columns_are_the_contracts_then_parameters_then_metrics(write_run: WriteRun) -> None:
    header = next(csv.reader(io.StringIO(to_csv([row(each) for each in measured(write_run())]))))
    assert header[:15] == CONTRACT.split()
    rest = header[len(COLUMNS) :]
    assert rest[:2] == ["param.driver", "param.response_size"]
    assert all("." in name and not name.startswith("param.") for name in rest[2:])


def test_missing_is_empty_and_never_zero() -> None:
    assert to_csv([{"sample": 1, "goodput_bps": None, "window_s": 0}]).splitlines()[1].split(",")[:1] == ["1"]
    cells = from_csv(to_csv([{"sample": 1, "goodput_bps": None, "control_packets": 0}]))[0]
    assert (cells["goodput_bps"], cells["control_packets"], cells["window_s"]) == ("", "0", "")


TEXT = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\r\0"), max_size=20)
CELLS: st.SearchStrategy[Cell] = st.none() | st.integers(-(10**14), 10**14) | TEXT


@given(st.lists(st.dictionaries(st.sampled_from([*COLUMNS, "param.x", "a.b"]), CELLS), min_size=1, max_size=5))
def test_samples_csv_goes_there_and_back(rows: list[dict[str, Cell]]) -> None:
    back = from_csv(to_csv(rows))
    for given_row, found in zip(rows, back, strict=True):
        assert {name: "" if cell is None else str(cell) for name, cell in given_row.items()} == {
            name: found[name] for name in given_row
        }


@given(st.sampled_from("=+-@"), TEXT)
def test_no_text_is_a_formula_to_a_spreadsheet(first: str, rest: str) -> None:
    cell = next(csv.DictReader(io.StringIO(to_csv([{"reason": first + rest}]))))["reason"]
    assert cell[0] == "'"


def test_a_workload_without_named_receivers_counts_the_clients(write_run: WriteRun) -> None:
    path = write_run()
    plan = json.loads((path / "plan.json").read_text())
    for point in plan["points"]:
        del point["receivers"], point["parsers"]
    (path / "plan.json").write_text(json.dumps(plan))
    each = measured(path)[0]
    assert each.receivers == ("client-0", "client-1")
    assert each.goodput_source == "driver", "files that look like pynetbench's are read as such"
