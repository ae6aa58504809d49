# SPDX-License-Identifier: GPL-3.0-or-later
"""One short sample of each kind of test, between one client and one server, and what is read from it."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.netperf import key_values
from netbench_trial import sums
from netbench_trial.results import RunFolder
from netbench_trial.tools import ToolsTrial
from netbench_trial.trial import ROOT
from yaml import safe_load

PAIR = {"servers": ["server1"], "clients": ["client1"]}
WORKLOADS = ROOT / "plugins/plugin_utils/_planning/workloads"
OMNI = ["-d", "send", "-o", "THROUGHPUT,P50_LATENCY,P99_LATENCY"]


def kinds(trial: ToolsTrial, tool: str, tests: dict[str, dict[str, Any]]) -> tuple[RunFolder, dict[str, Any]]:
    """The run, and the figures of each test by its name: every number of its row."""
    suite = {"tests": [{"name": name, "parameters": parameters} for name, parameters in tests.items()]}
    run = trial.measured(tool, groups=PAIR, suite=suite, parameters={"duration": "2s"})
    rows = {row["param.test_name"]: row for row in run.rows}
    assert {name: row["verdict"] for name, row in rows.items()} == dict.fromkeys(tests, "ok")
    return run, {
        name: {key: float(cell) for key, cell in row.items() if cell and key.startswith(("clients.", "goodput_bps"))}
        for name, row in rows.items()
    }


def printed(run: RunFolder, test: str) -> bytes:
    """What the client of a test printed."""
    (line,) = (each for each in run.samples if each["parameters"]["test_name"] == test)
    host = line["hosts"]["client1"]
    return run.file("client1", host["folder"], f"{host['processes'][0]['name']}.stdout").read_bytes()


def test_netperf(on_tools: ToolsTrial) -> None:
    run, figures = kinds(
        on_tools,
        "netperf",
        {
            "stream": {"test": "TCP_STREAM"},
            "maerts": {"test": "TCP_MAERTS"},
            "udp": {"test": "UDP_STREAM", "arguments": ["-m", "1400"]},
            "rr": {"test": "TCP_RR"},
            "omni": {"test": "omni", "arguments": OMNI},
            "no demo": {"test": "TCP_STREAM", "interim": "0"},
        },
    )
    for name in ("stream", "maerts", "omni", "no demo"):
        assert figures[name]["goodput_bps"] == pytest.approx(figures[name]["clients.netperf.throughput_bps"], rel=0.1)
    assert figures["udp"]["clients.netperf.sent_throughput_bps"] >= figures["udp"]["clients.netperf.throughput_bps"] > 0
    assert 0 <= figures["udp"]["clients.netperf.lost_pct"] < 100

    rr = figures["rr"]
    assert rr["clients.transaction_rate"] == pytest.approx(rr["clients.netperf.transaction_rate"], rel=0.05)
    assert 1 < rr["clients.netperf.latency_p50_us"] <= rr["clients.netperf.latency_p99_us"]
    assert rr["clients.netperf.latency_mean_us"] == pytest.approx(1e6 / rr["clients.transaction_rate"], rel=0.2)

    values, interim = key_values(printed(run, "omni"))
    assert figures["omni"]["clients.netperf.throughput_bps"] == float(values["THROUGHPUT"]) * 1e6
    assert figures["omni"]["clients.netperf.latency_p99_us"] == float(values["P99_LATENCY"])
    assert {"THROUGHPUT", "P50_LATENCY", "P99_LATENCY"} <= set(values)
    assert len(interim) >= 3  # Debian's netperf has demo mode
    command = next(row for row in run.rows if row["param.test_name"] == "omni")["param.arguments"]
    assert command == str(OMNI)
    assert not key_values(printed(run, "no demo"))[1]
    sources = {row["param.test_name"]: row["goodput_source"] for row in run.rows}
    assert (sources["maerts"], sources["no demo"]) == ("driver", "reported+interface")


def test_iperf3(on_tools: ToolsTrial) -> None:
    capped = {"rate": "50Mbps"}
    _run, figures = kinds(
        on_tools,
        "iperf3",
        {
            "forward": capped,
            "reverse": {**capped, "direction": "reverse"},
            "both": {**capped, "direction": "bidir"},
            "streams": {**capped, "parallel": 2},
            "udp": {"transport": "udp", "rate": "20Mbps", "length": "1400"},
        },
    )
    for name, rate_bps in {"forward": 50e6, "reverse": 50e6, "both": 100e6, "streams": 100e6, "udp": 20e6}.items():
        assert figures[name]["goodput_bps"] == pytest.approx(rate_bps, rel=0.1)
    for name in ("forward", "reverse", "both", "streams"):
        assert figures[name]["clients.iperf3.sender_retransmits"] >= 0
    assert 0 < figures["forward"]["clients.iperf3.rtt_min_us"] <= figures["forward"]["clients.iperf3.rtt_max_us"]
    assert figures["streams"]["clients.iperf3.stream_spread_pct"] >= 0
    udp = figures["udp"]
    assert udp["clients.iperf3.sent_packets"] >= 20e6 * 2 / 8 / 1400 * 0.9
    assert 0 <= udp["clients.iperf3.lost_pct"] < 50
    assert udp["clients.iperf3.jitter_ms"] >= 0


def test_several_netservers_of_ours_on_one_host(on_tools: ToolsTrial) -> None:
    """The workload with one netserver for each client process: another workload is other data."""
    workload = safe_load((WORKLOADS / "netperf.yml").read_text())
    workload["groups"]["servers"]["ports"]["control"]["per"] = "link"
    workload["groups"]["servers"]["processes"]["netserver"]["per"] = "link"
    run = on_tools.measured(workload, groups=PAIR, parameters={"duration": "1s", "instances": 2, "test": "TCP_RR"})
    (line,) = run.samples
    assert len(line["hosts"]["server1"]["processes"]) == 2
    assert float(run.rows[0]["clients.transaction_rate"]) > 0


@pytest.mark.parametrize("tool", ["iperf3", "netperf"])
def test_starts_two_seconds_apart(on_tools: ToolsTrial, tool: str) -> None:
    sums.check(sums.incast(on_tools, tool, duration_s=8, stagger_s=2))
