# SPDX-License-Identifier: GPL-3.0-or-later
"""The real s2n-netbench drivers on real SSH hosts, three servers and three clients, by the very `incast.yml`.

The goodput is held against what the receivers' interfaces counted, to 1 %. An interface counts more than goodput, and
what is known of that is taken off: the headers that it counts once per packet it hands up (offloads merge what was
several on the wire), QUIC's own headers in each datagram, and those datagrams for which the socket's buffer had no room
(the kernel counts them), so that QUIC sent them again. Handshakes and TCP's duplicates are left within the 1 %.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from netbench_lab.host import Host
from netbench_trial.lab import LabTrial
from netbench_trial.results import RunFolder
from netbench_trial.trial import ROOT

PLACES = os.pathsep.join((str(ROOT / ".cache/drivers/bin"), os.environ.get("PATH", os.defpath)))
WITHIN = 0.01
SERVERS, CLIENTS, SAMPLES = 3, 3, 2


@dataclass(frozen=True)
class Load:
    """What each client asks each server for: some seconds of traffic on two cores.

    header_bytes: Ethernet, IPv4, and TCP with its time stamps or UDP, once per packet as counted.
    datagram_bytes: what else each datagram carries, at most: flags, connection id, packet number, tag, and the STREAM
    frame's type, id, offset and length (RFC 9000, 17.3.1 and 19.8; RFC 9001, 5.3). Datagrams fill the MTU.
    """

    driver: str
    count: int
    response_bytes: int
    header_bytes: int
    datagram_bytes: int
    more: Mapping[str, Any]

    @property
    def client_bytes(self) -> int:
        """What one client gets from all servers."""
        return SERVERS * self.count * self.response_bytes


LOADS = (
    Load("tcp", 20, 50_000_000, 14 + 20 + 32, 0, {}),
    # At full speed a sixth of the datagrams would find the buffer full; small helpings at a steady rate are received.
    Load("s2n-quic", 1, 30_000_000, 14 + 20 + 8, 1 + 20 + 4 + 16 + 1 + 1 + 8 + 2, {"server_send_rate": "50KB/5ms"}),
)


def drivers() -> Path:
    """A folder with the four binaries; skips the test when one is not there."""
    names = [f"s2n-netbench-driver-{role}-{load.driver}" for role in ("client", "server") for load in LOADS]
    found = {name: shutil.which(name, path=PLACES) for name in names}
    if absent := [name for name, path in found.items() if path is None]:
        pytest.skip(
            f"not on PATH nor in .cache/drivers/bin: {', '.join(absent)} (`make test ONLY=drivers` builds them)"
        )
    return Path(str(found[names[0]])).parent


def no_room(host: Host) -> int:
    """Datagrams, as merged by the offloads, that the host's interface took and no socket's buffer had room for."""
    names, values = (line.split() for line in host.shell("grep ^Udp: /proc/net/snmp").splitlines())
    return int(values[names.index("RcvbufErrors")])


def mtu(host: Host) -> int:
    return int(host.shell("cat /sys/class/net/eth0/mtu"))


class Wire:
    """What a client's interface took in during one sample, less the headers; of that, the share that is payload."""

    def __init__(self, run: RunFolder, host: str, about: Mapping[str, Any], *, header_bytes: int, share: float) -> None:
        rows = run.sampler(host, about["folder"])
        (process,) = about["processes"]
        # The first and the last row lie just outside the process' life, in which all of the traffic was.
        inner = [row for row in rows[1:-1] if process["start_ns"] < row["mono_ns"] < process["stop_ns"]]
        self.packets = rows[-1]["rx_packets"] - rows[0]["rx_packets"]
        self._at_ns = [process["start_ns"], *(row["mono_ns"] for row in inner), process["stop_ns"]]
        self._bytes = [
            (row["rx_bytes"] - header_bytes * row["rx_packets"]) * share for row in (rows[0], *inner, rows[-1])
        ]
        self._offset_ns = about["offset_ns"]

    @property
    def total(self) -> float:
        return self._bytes[-1] - self._bytes[0]

    def between(self, start_ns: int, stop_ns: int) -> float:
        """Instants of the coordinator; the window's edges fall between two rows, and cut the line between them."""
        return self._at(stop_ns + self._offset_ns) - self._at(start_ns + self._offset_ns)

    def _at(self, instant_ns: int) -> float:
        right = min(max(bisect_right(self._at_ns, instant_ns), 1), len(self._at_ns) - 1)
        (a_ns, b_ns), (a, b) = self._at_ns[right - 1 : right + 1], self._bytes[right - 1 : right + 1]
        return a + (b - a) * min(max((instant_ns - a_ns) / (b_ns - a_ns), 0.0), 1.0)


@pytest.mark.parametrize("load", LOADS, ids=lambda load: load.driver)
def test_three_servers_and_three_clients(on_lab: LabTrial, load: Load) -> None:
    binaries = drivers()
    clients = [name for name in on_lab.hosts if name.startswith("client")]
    before = {name: no_room(on_lab.lab.hosts[name]) for name in clients}
    on_lab.play(
        "incast.yml",
        timeout_s=120,
        run_workload="netbench",
        run_parameters={
            "driver": load.driver,
            "response_size": load.response_bytes,
            "count": load.count,
            "deadline": "40s",
            **load.more,
        },
        run_repeats=SAMPLES,
        run_retry_budget=2,
        run_max_start_skew="50ms",  # two cores for six hosts and whatever else this machine does
        netbench_source="prebuilt",
        netbench_path=str(binaries),
        netbench_drivers=[each.driver for each in LOADS],
    ).ok()
    lost = {name: no_room(on_lab.lab.hosts[name]) - before[name] for name in clients}
    run = on_lab.run
    assert sum(row["verdict"] == "ok" for row in run.rows) == SAMPLES
    assert run.json("manifest.json")["verdict"] == "ok"
    assert run.check_seals() > 0
    check_tools(run, binaries, load.driver)

    attempts = [dict(each["hosts"]) for each in run.samples]
    packets = {
        name: sum(Wire(run, name, hosts[name], header_bytes=0, share=1).packets for hosts in attempts)
        for name in clients
    }
    taken = {name: 1 - lost[name] / packets[name] for name in clients}
    payload = 1 - load.datagram_bytes / (mtu(on_lab.lab.hosts[clients[0]]) - 20 - 8)
    print(f"{load.driver}: had room {taken}, payload of a datagram {payload:.4f}")
    for line, row in zip(run.samples, run.rows, strict=True):
        if line["verdict"] == "ok":
            check_clients(run, line, load)
            check_goodput(run, line, row, load, {name: taken[name] * payload for name in clients})


def check_tools(run: RunFolder, binaries: Path, driver: str) -> None:
    """The manifest names the two programs, each by the hash of the file that was given."""
    tools = run.json("manifest.json")["versions"]["tools"]
    names = [f"s2n-netbench-driver-{role}-{driver}" for role in ("client", "server")]
    assert tools == {name: [hashlib.sha256((binaries / name).read_bytes()).hexdigest()] for name in names}


def check_clients(run: RunFolder, line: Mapping[str, Any], load: Load) -> None:
    """Each client ended well, and its interface took in at least everything it had asked for."""
    clients = [about for about in line["hosts"].values() if about["group"] == "clients"]
    assert (len(clients), len(line["hosts"])) == (CLIENTS, SERVERS + CLIENTS)
    for about in clients:
        (process,) = about["processes"]
        assert (about["verdict"], process["exit_status"], process["signal"]) == ("done", 0, None)
        assert about["rx_bytes"] >= load.client_bytes


def check_goodput(
    run: RunFolder, line: Mapping[str, Any], row: Mapping[str, str], load: Load, share: Mapping[str, float]
) -> None:
    """The whole delivery against the whole counters, then window against window."""
    wires = {
        name: Wire(run, name, line["hosts"][name], header_bytes=load.header_bytes, share=share[name]) for name in share
    }
    for name, wire in wires.items():
        print(f"{load.driver} {name}: asked for / counted {load.client_bytes / wire.total:.4f}")
    window = line["window"]
    counted = sum(wire.between(window["start_ns"], window["stop_ns"]) for wire in wires.values())
    counted_bps = counted * 8e9 / (window["stop_ns"] - window["start_ns"])
    goodput_bps = float(row["goodput_bps"])
    print(
        f"{load.driver}: window {line['window_s']:.3f} s (lost {line['lost_window_s']:.3f}), goodput "
        f"{goodput_bps / 1e9:.4f} Gbit/s ({row['goodput_source']}), interfaces {counted_bps / 1e9:.4f} Gbit/s, "
        f"ratio {goodput_bps / counted_bps:.4f}, start skew {line['start_skew_us'] / 1e3:.1f} ms"
    )
    assert line["window_s"] > 1.5
    for wire in wires.values():
        assert wire.total == pytest.approx(load.client_bytes, rel=WITHIN)
    assert goodput_bps == pytest.approx(counted_bps, rel=WITHIN)
