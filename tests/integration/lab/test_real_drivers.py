# SPDX-License-Identifier: GPL-3.0-or-later
"""The real s2n-netbench drivers on real SSH hosts, three servers and three clients, by the very `incast.yml`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from netbench_trial.lab import LabTrial
from netbench_trial.trial import ROOT

PLACES = os.pathsep.join((str(ROOT / ".cache/drivers/bin"), os.environ.get("PATH", os.defpath)))
ETHERNET = 14  # bytes of header that an interface counts and IP does not
WITHIN = 0.01


def drivers() -> Path:
    """A folder with the four binaries; skips the test when one is not there."""
    names = [f"s2n-netbench-driver-{role}-{driver}" for role in ("client", "server") for driver in ("tcp", "s2n-quic")]
    found = {name: shutil.which(name, path=PLACES) for name in names}
    if absent := [name for name, path in found.items() if path is None]:
        pytest.skip(
            f"not on PATH nor in .cache/drivers/bin: {', '.join(absent)} (`make test ONLY=drivers` builds them)"
        )
    return Path(str(found[names[0]])).parent


@pytest.mark.parametrize("driver", ["tcp", "s2n-quic"])
def test_three_servers_and_three_clients(on_lab: LabTrial, driver: str) -> None:
    finished = on_lab.play(
        "incast.yml",
        timeout_s=150,
        run_workload="netbench",
        run_parameters={"driver": driver, "response_size": "50MB", "count": 4},
        run_repeats=2,
        run_max_start_skew="1s",
        run_retry_budget=10,
        netbench_source="prebuilt",
        netbench_path=str(drivers()),
        netbench_drivers=["tcp", "s2n-quic"],
    )
    finished.ok()
    run = on_lab.run
    assert len([line for line in run.samples if line["verdict"] == "ok"]) == 2
    payload = 3 * 4 * 50_000_000  # what each client asks of three servers
    for line, row in zip(run.samples, run.rows, strict=True):
        if line["verdict"] != "ok":
            continue
        clients = {host: about for host, about in line["hosts"].items() if about["group"] == "clients"}
        assert len(clients) == 3
        assert len(line["hosts"]) == 6
        counted = sum(about["rx_bytes"] for about in clients.values())
        goodput_bps, window_s = float(row["goodput_bps"]), line["window_s"]
        from_counters_bps = counted * 8 / window_s
        print(
            f"{driver}: goodput {goodput_bps / 1e9:.3f} Gbps, interfaces {from_counters_bps / 1e9:.3f} Gbps, "
            f"window {window_s:.3f} s, lost {line['lost_window_s']:.3f} s, skew {line['start_skew_us']:.0f} us, "
            f"payload {payload * 3 / 1e9:.2f} GB, counted {counted / 1e9:.3f} GB"
        )
        for host, about in clients.items():
            (process,) = about["processes"]
            assert process["exit_status"] == 0
            assert about["rx_bytes"] >= payload, f"{host} has received everything it asked for"
        assert row["verdict"] == "ok"
        assert goodput_bps > 0
    assert run.check_seals() > 0
    tools = {tool for about in run.json("manifest.json")["hosts"].values() for tool in about.get("tools", {})}
    assert f"s2n-netbench-driver-client-{driver}" in tools or driver in str(run.json("manifest.json"))
