# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The driver as a process: arguments, exit statuses, signals, and the files that it leaves."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from .test_scenario import minimal, receive, repeat, send

COLLECTIONS = Path(__file__).parents[5] / ".collections"
MODULE = "ansible_collections.netbench.orchestrator.plugins.module_utils._netbench.cli"


@pytest.fixture
def driver(tmp_path):
    """Starts ``pynetbench ROLE`` with an environment of its own; ends what is left."""
    started = []

    def start(*arguments, pass_fds=(), **environ):
        process = subprocess.Popen(
            [sys.executable, "-m", MODULE, *arguments],
            pass_fds=pass_fds,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(COLLECTIONS), **environ},
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return str(sock.getsockname()[1])


@pytest.fixture
def written(tmp_path):
    """Writes a scenario and returns its path."""

    def write(client, server):
        path = tmp_path / "scenario.json"
        path.write_text(json.dumps(minimal(client, server)))
        return str(path)

    return write


def finished(process, seconds=20):
    out, err = process.communicate(timeout=seconds)
    return process.returncode, out, err


def wait_until(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_an_exchange_leaves_statistics_that_agree(driver, port, written, tmp_path):
    path = written(
        [{"profile": {"trace_id": 0, "operations": [send(1000), {"sleep": {"amount_ms": 120}}, receive(10**7)]}}],
        [receive(1000), send(10**7)],
    )
    server = driver("server", SCENARIO=path, PORT=port, LOCAL_IP="127.0.0.1", STATISTICS="server.jsonl")
    client = driver(
        "client", path, SERVER_0=f"127.0.0.1:{port}", STATISTICS="client.jsonl", INTERVAL_MS="20", TRACE="stdio"
    )
    returncode, out, err = finished(client)
    assert (returncode, err) == (0, "")
    assert "send[0]=1000" in out
    server.send_signal(signal.SIGTERM)
    assert finished(server)[0] == -signal.SIGTERM

    start, *intervals, latency, end = lines(tmp_path / "client.jsonl")
    assert (start["kind"], latency["kind"], latency["trace"], end["kind"]) == ("start", "latency", "a", "end")
    assert end["status"] == "ok"
    assert (end["rx_bytes"], end["tx_bytes"]) == (10**7, 1000)
    assert start["monotonic_ns"] < end["first_byte_ns"] < end["monotonic_ns"]
    assert {interval["kind"] for interval in intervals} == {"interval"}
    assert (intervals[-1]["rx_bytes"], intervals[-1]["tx_bytes"]) == (10**7, 1000)
    received = [interval["rx_bytes"] for interval in intervals]
    assert received == sorted(received)
    assert len(intervals) >= 5
    last = lines(tmp_path / "server.jsonl")[-1]
    assert (last["rx_bytes"], last["tx_bytes"], last["connections"], last["failed_connections"]) == (1000, 10**7, 1, 0)


def test_throughput_is_printed_each_second(driver, port, written):
    path = written([{"sleep": {"amount_ms": 1100}}, send(1)], [receive(1)])
    driver("server", path, PORT=port, TRACE="disabled")
    out, err = finished(driver("client", path, SERVER_0=f"127.0.0.1:{port}"))[1:]
    assert out == ""
    assert re.match(r"0:00:01\.\d{6} throughput: rx=0Bps tx=0Bps\n", err)


def test_a_client_stopped_by_a_signal_says_so(driver, port, written, tmp_path):
    path = written([repeat([receive(10**6)], time=60_000)], [repeat([send(10**6)], time=60_000)])
    driver("server", path, PORT=port)
    statistics = tmp_path / "client.jsonl"
    client = driver("client", path, SERVER_0=f"127.0.0.1:{port}", STATISTICS=str(statistics), TRACE_FILE="trace.txt")
    wait_until(lambda: statistics.exists() and statistics.read_text().count("\n") > 3)
    client.send_signal(signal.SIGTERM)
    returncode, out, err = finished(client)
    assert (returncode, out, err) == (-signal.SIGTERM, "", "")
    end = lines(statistics)[-1]
    assert (end["status"], end["error"]) == ("failed", "stopped by SIGTERM")
    assert end["rx_bytes"] > 0


def test_a_server_killed_in_mid_transfer_fails_its_client(driver, port, written, tmp_path):
    path = written([receive(2**60)], [send(2**60)])
    server = driver("server", path, PORT=port)
    statistics = tmp_path / "client.jsonl"
    client = driver("client", path, SERVER_0=f"127.0.0.1:{port}", STATISTICS=str(statistics), INTERVAL_MS="10")
    wait_until(
        lambda: statistics.exists() and '"rx_bytes":' in statistics.read_text() and lines(statistics)[-1]["rx_bytes"]
    )
    server.kill()
    returncode, err = finished(client)[::2]
    assert returncode == 1
    assert "error: server 0 (127.0.0.1:" in err
    end = lines(statistics)[-1]
    assert end["status"] == "failed"
    assert "the connection after" in end["error"]


def test_ipv6_and_an_own_address(driver, port, written):
    path = written([send(1)], [receive(1)])
    driver("server", path, PORT=port)  # on :: by default, which takes both families
    assert finished(driver("client", path, SERVER_0=f"[::1]:{port}"))[0] == 0
    assert finished(driver("client", path, SERVER_0=f"127.0.0.1:{port}", LOCAL_IP="127.0.0.9"))[0] == 0


@pytest.mark.parametrize(
    ("arguments", "environ", "message"),
    [
        (["client"], {}, "error: no scenario; give its file as argument, or in SCENARIO\n"),
        (["client", "absent.json"], {}, "error: cannot read the scenario absent.json: No such file or directory\n"),
        (["client", "."], {}, "error: cannot read the scenario .: Is a directory\n"),
        (["client"], {"SCENARIO": "broken.json"}, "error: broken.json: the scenario is not JSON: line 1, column 2"),
        (["client", "scenario.json"], {}, "error: missing SERVER_0 environment variable; set it to host:port"),
        (["client", "scenario.json"], {"SERVER_0": "x"}, "error: SERVER_0='x' is not host:port\n"),
        (
            ["client", "scenario.json"],
            {"CLIENT_ID": "1"},
            "error: CLIENT_ID=1, but the scenario has 1 client(s), from 0\n",
        ),
        (
            ["server", "scenario.json"],
            {"SERVER_ID": "x"},
            "error: SERVER_ID='x' is not a whole number from 0 to 1000000\n",
        ),
        (["server", "scenario.json"], {"PORT": "70000"}, "error: PORT='70000' is not a whole number from 0 to 65535\n"),
        (["server", "scenario.json"], {"LOCAL_IP": "here"}, "error: LOCAL_IP='here' is not an IP address\n"),
        (["server", "scenario.json"], {"LOCAL_IP": "192.0.2.1"}, "error: cannot listen on 192.0.2.1 port 4433: "),
        (["server", "scenario.json"], {"MULTIPLEX": "true"}, "error: pynetbench does not multiplex"),
        (
            ["server", "scenario.json"],
            {"TRACE": "loud"},
            "error: TRACE='loud' is not one of disabled, throughput, stdio\n",
        ),
        (
            ["server", "scenario.json"],
            {"STATISTICS": "no/where", "PORT": "0"},
            "error: cannot write no/where: No such file or directory\n",
        ),
    ],
)
def test_what_cannot_run_ends_with_one_clear_line(driver, written, tmp_path, arguments, environ, message):
    written([send(1)], [receive(1)])
    (tmp_path / "broken.json").write_text("{")
    returncode, out, err = finished(driver(*arguments, **environ))
    assert (returncode, out) == (1, "")
    assert err.startswith(message)
    assert err.count("\n") == 1


def test_a_port_that_is_taken_is_named(driver, written):
    path = written([send(1)], [receive(1)])
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        returncode, err = finished(driver("server", path, PORT=port, LOCAL_IP="127.0.0.1"))[::2]
    assert (returncode, err) == (1, f"error: cannot listen on 127.0.0.1 port {port}: Address already in use\n")


def test_an_own_address_that_is_none_of_ours_is_named(driver, port, written):
    path = written([send(1)], [receive(1)])
    returncode, err = finished(driver("client", path, SERVER_0=f"127.0.0.1:{port}", LOCAL_IP="192.0.2.1"))[::2]
    assert returncode == 1
    assert err.startswith(f"error: cannot connect to server 0 (127.0.0.1:{port}) within 0.0 s: ")
    assert "assign" in err


def test_a_full_disk_ends_the_driver(driver, port, written):
    path = written([repeat([receive(10**6)], time=60_000)], [repeat([send(10**6)], time=60_000)])
    server = driver("server", path, PORT=port, STATISTICS="/dev/full")
    returncode, err = finished(server)[::2]
    assert (returncode, err) == (1, "error: cannot write the statistics: No space left on device\n")


@pytest.fixture
def gate():
    """Both ends of a worker's gate: (program reads, worker writes), (worker reads, program writes)."""
    with contextlib.ExitStack() as stack:
        pipes = os.pipe(), os.pipe()
        for descriptor in (*pipes[0], *pipes[1]):
            stack.callback(_close, descriptor)
        yield pipes


def _close(descriptor):
    with contextlib.suppress(OSError):  # the test has closed it
        os.close(descriptor)


def test_a_driver_holds_at_its_gate_and_starts_at_the_instant(driver, port, written, gate, tmp_path):
    (program_reads, worker_writes), (worker_reads, program_writes) = gate
    path = written([send(1)], [receive(1)])
    driver("server", path, PORT=port)
    descriptors = (program_reads, program_writes)
    client = driver(
        "client",
        path,
        SERVER_0=f"127.0.0.1:{port}",
        STATISTICS="client.jsonl",
        NETBENCH_GATE=f"{program_reads},{program_writes}",
        pass_fds=descriptors,
    )
    for descriptor in descriptors:
        os.close(descriptor)
    assert os.read(worker_reads, 9) == b"H"
    assert not (tmp_path / "client.jsonl").exists()
    at_ns = time.monotonic_ns() + 50_000_000
    os.write(worker_writes, struct.pack("=q", at_ns))
    (started_ns,) = struct.unpack("=q", os.read(worker_reads, 8))
    assert started_ns >= at_ns
    assert os.read(worker_reads, 1) == b""
    assert finished(client)[0] == 0
    assert lines(tmp_path / "client.jsonl")[0]["monotonic_ns"] >= started_ns


def test_a_gate_that_is_closed_ends_the_driver(driver, port, written, gate):
    (program_reads, worker_writes), (_worker_reads, program_writes) = gate
    environ = {"SERVER_0": f"127.0.0.1:{port}", "NETBENCH_GATE": f"{program_reads},{program_writes}"}
    client = driver("client", written([send(1)], [receive(1)]), pass_fds=(program_reads, program_writes), **environ)
    os.close(worker_writes)
    assert finished(client) == (1, "", "error: the worker closed the gate before the start\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [("door", "NETBENCH_GATE='door' is not two descriptors"), ("98,99", "NETBENCH_GATE=98,99: Bad file")],
)
def test_a_gate_that_is_none_is_named(driver, written, text, message):
    returncode, _out, err = finished(driver("server", written([send(1)], [receive(1)]), NETBENCH_GATE=text))
    assert returncode == 1
    assert message in err
