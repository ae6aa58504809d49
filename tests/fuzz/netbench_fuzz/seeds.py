# SPDX-License-Identifier: GPL-3.0-or-later
"""Good inputs of every parser: made by the collection itself where it can write them, by hand where others do."""

from __future__ import annotations

import functools
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol.schema import SchemaError
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import inventory, profile
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import plan as plans
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import workload as workloads
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.expansion import expand
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.hosts import Host

PRINTED = Path(__file__).resolve().parents[2] / "unit/plugins/plugin_utils/_results/data"
SHA256 = "5e" * 32
SERVERS_ONLY = ("netserver", "iperf3_server")
GROUPS = {"servers": ["s0", "s1"], "clients": ["c0"]}
HOSTS = {name: Host(name=name, address=f"10.0.0.{n}", machine=name, bind=f"10.0.0.{n}") for n, name in enumerate(
    ["s0", "s1", "c0"], 1)}  # fmt: skip
COMMANDS = {"server_command": ["s"], "client_command": ["c", "${servers.address}"], "duration": "1s"}
SUITE = {
    "schema": 1, "name": "trial", "description": "x", "parameters": {"duration": "1s"}, "grid": {"port": [1, 2]},
    "repeats": 2, "order": "interleaved", "seed": 7, "retry_budget": 1, "max_start_skew": "1ms",
    "on_host_failure": "abort", "workload": "pynetbench", "steps": None,
}  # fmt: skip


VARIABLES = {
    "netbench_address": "10.0.0.1", "netbench_bind_address": "::1", "netbench_port": 4433, "netbench_interface": "eth0",
    "netbench_environment": {"A": "b"}, "netbench_secret_environment": {"TOKEN": "c"}, "worker_instance": "default",
    "netbench_tools": {"tcp": {"path": "/usr/bin/x", "sha256": SHA256, "more": 1}}, "ansible_connection": "ssh",
    "netbench_worker": {"program": "/x.pyz", "python": "/usr/bin/python3"}, "ansible_host": "a", "ansible_port": 22,
}  # fmt: skip
PLAY = inventory.Play(["s0", "s1", "c0"], ["s0", "s1", "c0"], ["s0", "s1", "c0"],
                      {"all": ["s0", "s1", "c0", "c1"], "servers": ["s0", "s1"], "clients": ["c0"]})  # fmt: skip
BOUND = [{"servers": "servers", "clients": "clients"}, {"servers": ["s0", "s1"], "clients": "c0,s0:s1"}]
HOSTS_YAML = b"""hosts:
  - {name: a1, address: 198.18.1.11, role: server, ssh_user: bench, ssh_port: 2222, ssh_key: ~/.ssh/bench}
  - {name: b1, address: 198.18.1.12, role: client}
  - {name: c1, address: "fd00::1", role: both}
"""
CLUSTER = b'{"1": {"clients": ["10.0.0.1"], "acceptors": ["10.0.0.2", "10.0.0.1"]}}'


def encoded(*documents: Any) -> list[bytes]:
    return [json.dumps(document, separators=(",", ":")).encode() for document in documents]


def lines(*documents: Any) -> bytes:
    return b"".join(line + b"\n" for line in encoded(*documents))


YAML = [
    b"schema: 1\nname: trial\nparameters: &p\n  duration: 1s\ngrid:\n  port: &n [1, 2]\nrepeats: 2\n",
    b"name: trial\nworkload: {a: &a [x, 2026-11-21, 1_0, 0o7, 1:30, .inf, ~, yes], b: [*a, *a], ? c : !!str 1}\n",
]


def profiles() -> list[bytes]:
    return [path.read_bytes() for _name, path in sorted(profile.shipped().items())[:3]]


@functools.cache
def workload_documents() -> list[bytes]:
    return encoded(*(yaml.safe_load(path.read_text("utf-8")) for path in workloads.shipped().values()))


def printed(pattern: str) -> list[bytes]:
    """What tools printed, kept beside the unit tests."""
    return [path.read_bytes() for path in sorted(PRINTED.glob(pattern))]


def _no_file(name: str, place: Any) -> str:
    raise SchemaError(place, f"there is no file {name}.", name)


def given_to(workload: Any) -> dict[str, Any]:
    """Parameters that make sense for a workload."""
    named = workload.get("name") if isinstance(workload, dict) else None
    return COMMANDS if named == "command" else {} if named in SERVERS_ONLY else {"duration": "1s"}


def planned(suite: Any, workload: Any) -> plans.RunPlan:
    """The run plan of two documents, as the plan task makes it."""
    alone = isinstance(workload, dict) and workload.get("name") in SERVERS_ONLY
    groups = {"servers": GROUPS["servers"]} if alone else GROUPS
    return expand(
        suite=suite, workload=workload, groups=groups, hosts=HOSTS, run_id="run", created_utc="2026-11-21T11:05:00Z",
        read_file=_no_file,
    )  # fmt: skip


@functools.cache
def run_plans() -> list[plans.RunPlan]:
    made = []
    for document in map(json.loads, workload_documents()):
        grid = {} if document["name"] == "command" else SUITE["grid"]
        made.append(planned({**SUITE, "parameters": given_to(document), "grid": grid}, document))
    return made


def plan_files() -> list[bytes]:
    return [plans.to_json(plan).encode() for plan in run_plans()]


def worker_plans() -> list[bytes]:
    return [plan.workers[host].encoded for plan in run_plans() for host in ("s0", "c0") if host in plan.workers]


def scenarios() -> list[bytes]:
    inputs = {text for plan in run_plans() for entry in plan.workers.values() for text in
              entry.document["inputs"].values()}  # fmt: skip
    made = sorted(text.encode() for text in inputs if '"clients"' in text)
    hand = {
        "id": "x", "traces": ["a", "b"], "certificates": [],
        "routers": [{"scenario": [{"sleep": {"amount_ms": 1}}, {"rebind_all": {"ports": True, "addresses": False}}]}],
        "clients": [{
            "name": "c", "configuration": {"k": "v"},
            "scenario": [
                {"scope": {"threads": [[{"connect": {
                    "server_id": 0, "server_connection_id": 0, "client_connection_id": 0}}]]}},
            ],
            "connections": [{"ops": [
                {"open_bidirectional_stream": {"stream_id": 0}},
                {"iterate": {"value": {"count": {"amount": 3}}, "operations": [
                    {"send": {"stream_id": 0, "bytes": 10}},
                    {"profile": {"trace_id": 1, "operations": [{"receive": {"stream_id": 0, "bytes": 10}}]}}]}},
                {"send_finish": {"stream_id": 0}}, {"receive_finish": {"stream_id": 0}}]}],
        }],
        "servers": [{"private_key": 1, "certificate": 2, "certificate_authority": 0, "connections": [{"peer_streams": [[
            {"iterate": {"value": {"count": {"amount": 3}}, "operations": [
                {"receive": {"stream_id": 0, "bytes": 10}}, {"send": {"stream_id": 0, "bytes": 10}}]}},
            {"send_finish": {"stream_id": 0}}, {"receive_finish": {"stream_id": 0}}]]}]}],
    }  # fmt: skip
    return [*made, *encoded(hand)]


FACTS = {
    "processes": [{"name": "client", "pid": 41, "start_ns": 5, "stop_ns": 9, "exit_status": 0, "signal": None,
                   "stderr_tail": ""}],
    "wall_minus_mono_ns": 17, "control_packets": 0, "rx_bytes": 1, "tx_bytes": 1, "sealed_files": 1,
    "sealed_bytes": 1, "seal_sha256": SHA256, "folder": "0000",
}  # fmt: skip
REPORT = {"kind": "reached", "sample": 0, "attempt": 1, "state": "done", "reason": None, "facts": FACTS}
STATUS = {"run_id": "run", "plan_sha256": SHA256, "sample": 0, "attempt": 1, "state": "done", "phase": "reached"}
WORKER_MESSAGES = encoded(
    {"type": "report", "received_ns": 5, "sent_ns": 6, **REPORT},
    {"type": "reply", "id": 1, "host": {"kernel": "6.1", "cpus": 8, "clock": {"synchronized": True}}, "status": STATUS,
     "reports": [REPORT], "received_ns": 5, "sent_ns": 6},
    {"type": "reply", "id": 2, "wall_ns": 7, "refused": "no", "sent_ns": 6},
)  # fmt: skip
REQUESTS = encoded(
    {"type": "hello", "id": 1, "protocol": 1, "coordinator": "me", "run_id": "run", "takeover": False},
    {"type": "clock", "id": 2},
    {"type": "load", "id": 3, "run_id": "run", "plan_sha256": SHA256, "lease_s": 30.0},
    {"type": "enter", "sample": 0, "attempt": 1, "state": "running", "at_ns": 99, "lease_s": 30},
    {"type": "stop", "reason": "why"},
    {"type": "finish", "id": 4, "run_id": "run"},
)
STREAM = b"\n".join([*WORKER_MESSAGES, *REQUESTS, b""])

_AT = {"mono_ns": 1, "wall_ns": 2}
JOURNAL = lines(
    {"event": "open", **_AT, "boot_id": "b", "plan_sha256": SHA256, "worker": "0.1.0"},
    {"event": "status", **_AT, "sample": 0, "attempt": 1, "state": "ready", "phase": "entering", "reason": None,
     "exited": False},
    {"event": "prepare", **_AT, "number": 0, "begun": True},
    {"event": "held", **_AT, "processes": [{"name": "client", "pid": 41, "start_ticks": 7}]},
    {"event": "report", **_AT, **REPORT},
    {"event": "exited", **_AT, "process": "client", "exit_status": 0, "signal": None, "start_ns": 5, "stop_ns": 9},
    {"event": "undo", **_AT, "number": 0},
    {"event": "finish", **_AT},
)  # fmt: skip
FILES = {"client.stdout": b"said\n", "statistics.jsonl": b'{"kind": "end"}\n'}
SEAL = {
    "schema": 1, "left_out": ["link"],
    "files": [{"path": k, "size": len(v), "sha256": hashlib.sha256(v).hexdigest()} for k, v in FILES.items()],
}  # fmt: skip

_HOST = {
    "group": "clients",
    "index": 0,
    "verdict": "done",
    "reason": None,
    "offset_ns": 5,
    "offset_error_ns": 1,
    **FACTS,
}
RECORD = lines(
    {"event": "run", "utc": "2026-11-21T11:05:00.000000Z", "run_id": "run", "suite": "trial", "seed": 7, "repeats": 1,
     "plan_sha256": SHA256, "started_utc": "2026-11-21T11:05:00.000000Z", "wall_minus_mono_ns": 5,
     "versions": {"collection": "0.1.0"}, "hosts": {"c0": {"address": "10.0.0.3", "cpus": 8}},
     "groups": {"clients": ["c0"]}, "points": [{"parameters": {"port": 1}, "receivers": ["clients"]}],
     "samples": [{"sample": 0, "point": 0, "repeat": 1}]},
    {"event": "begin", "sample": 0, "attempt": 1},
    {"event": "sample", "sample": 0, "attempt": 1, "point": 0, "repeat": 1, "parameters": {"port": 1}, "verdict": "ok",
     "reason": None, "t0_ns": 5, "start_skew_us": 3.5, "start_skew_error_us": 1.0, "stop_skew_us": 3.0,
     "window": {"start_ns": 5, "stop_ns": 9, "start_wall_ns": 5}, "window_s": 1.5, "lost_window_s": 0.1,
     "control_packets": 0, "barriers": [{"group": "clients", "state": "ready", "at_ns": 5, "duration_ms": 0.5}],
     "hosts": {"c0": _HOST}},
    {"event": "resumed"},
    {"event": "end", "verdict": "ok", "reason": None, "ended_utc": "2026-11-21T11:06:00.000000Z", "collected": {}},
)  # fmt: skip

# As s2n-netbench 0.1.0 prints them.
TRACE = (
    b"0:00:01.003354 throughput: rx=1.87GBps tx=1.99KBps\n0:00:02.003843 throughput: rx=2.19GBps tx=0Bps\n"
    b"0:00:03.005667 throughput: rx=2.48GBps tx=0Bps\n"
)
COLLECTOR = lines(
    {"pid": 12323, "driver": "s2n-netbench-driver-client-tcp", "scenario": "rr.json", "start_time": {"nanos": 1}},
    {"t": 1000, "connect_time": {"count": 2, "total": 700}, "receive": {"0:0": {"count": 3, "total": 1000}}},
    {"t": 2000, "cpu": 86.033516, "memory": 3907584000, "send": {"0:0": {"total": 7}}},
)
STATISTICS = lines(
    {"kind": "start", "schema": 1, "role": "client", "id": 0, "monotonic_ns": 1000, "wall_ns": 1},
    {"kind": "interval", "monotonic_ns": 2000, "wall_ns": 2, "rx_bytes": 10, "tx_bytes": 1},
    {"kind": "latency", "trace": "request", "count": 3, "min_us": 120.0, "max_us": 730.0, "sum_us": 900.5,
     "buckets": [[128.0, 1], [730.0, 2]]},
    {"kind": "end", "monotonic_ns": 3000, "wall_ns": 3, "rx_bytes": 20, "tx_bytes": 2, "first_byte_ns": 1500,
     "status": "ok", "error": None},
)  # fmt: skip
SAMPLER = lines(
    *({"mono_ns": n, "wall_ns": n, "cpu_s": n / 10, "rss_bytes": 20, "rx_bytes": n, "tx_bytes": n, "steal_s": 0.0,
       "tcp_retransmits": 0, "ena": {"bw_in": n}} for n in (1, 2, 3))
)  # fmt: skip


def tar(entries: list[tuple[tarfile.TarInfo, bytes]], form: int = tarfile.PAX_FORMAT) -> bytes:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=form) as archive:
        for member, content in entries:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return data.getvalue()


def deliveries() -> list[bytes]:
    """An honest delivery, and the kinds of tar member that an honest worker never sends."""
    files = {"journal.jsonl": JOURNAL, **{f"samples/0000/{k}": v for k, v in FILES.items()}}
    honest = [*files.items(), ("samples/0000/seal.json", encoded(SEAL)[0])]
    made = [tar([(tarfile.TarInfo(name), content) for name, content in honest], form) for form in
            (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT)]  # fmt: skip
    for key, value in (
        ("size", "99999999999"), ("path", "samples/0000/" + "x" * 300), ("GNU.sparse.map", "0,1,9,1"),
        ("GNU.sparse.major", "1"), ("GNU.sparse.size", "9999"), ("mtime", "1e400"), ("hdrcharset", "BINARY"),
    ):  # fmt: skip
        member = tarfile.TarInfo("samples/0000/client.stdout")
        member.pax_headers = {key: value, "GNU.sparse.minor": "0", "GNU.sparse.name": "samples/0000/client.stdout"}
        made.append(tar([(member, b"1\n0\n5\nsaid\n")]))
    sparse = bytearray(made[1])
    sparse[156:157], sparse[386:410], sparse[483:495] = b"S", b"00000000000\x0000000000012\0", b"00000100000\0"
    return [*made, bytes(sparse)]
