# SPDX-License-Identifier: GPL-3.0-or-later
"""pynetbench beside the real tcp driver on loopback, in one run: a table for people, JSON for programs.

Every pair of drivers plays the same two scenarios, interleaved: one large response (goodput), and many small requests
one after the other (round trips). Both are also played once in a tiny form. The difference of bytes (or requests)
divided by the difference of time is free of what it costs to start a process. CPU is that of the whole process.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / ".collections"))

from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.scenarios import generate  # noqa: E402

CLI = "ansible_collections.netbench.orchestrator.plugins.module_utils._netbench.cli"
PLACES = os.pathsep.join((str(ROOT / ".cache/drivers/bin"), os.environ.get("PATH", os.defpath)))
PAIRS = (("tcp", "tcp"), ("pynetbench", "pynetbench"), ("tcp", "pynetbench"), ("pynetbench", "tcp"))
GOAL = 0.25
LIMIT_S = 120
REQUESTS = 20_000


@dataclass(frozen=True)
class Exchange:
    """One exchange: the client's time, and the processors' time of both ends."""

    elapsed_s: float
    client_cpu_s: float
    server_cpu_s: float


def command(driver: str, role: str) -> list[str] | None:
    """The command of a driver, None when it is not installed."""
    if driver == "pynetbench":
        return [sys.executable, "-m", CLI, role]
    path = shutil.which(f"s2n-netbench-driver-{role}-{driver}", path=PLACES)
    return [path] if path else None


def play(server: Sequence[str], client: Sequence[str], document: Mapping[str, object], folder: Path) -> Exchange:
    """Server first, observed listening; then the client, to its end."""
    path = folder / "scenario.json"
    path.write_text(json.dumps(document))
    port = free_port()
    environ = {
        "PATH": os.environ.get("PATH", os.defpath),
        "PYTHONPATH": str(ROOT / ".collections"),
        "SCENARIO": str(path),
        "PORT": str(port),
        "SERVER_0": f"127.0.0.1:{port}",
        "TRACE": "disabled",
    }
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    listener = subprocess.Popen(server, env=environ, **quiet)
    try:
        deadline = time.monotonic() + LIMIT_S
        while not listening(port):
            if listener.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"error: {server[0]} does not listen")
            time.sleep(0.01)
        start = time.monotonic()
        asker = subprocess.Popen(client, env=environ, **quiet)
        client_cpu_s = cpu_s(asker, LIMIT_S)
        elapsed_s = time.monotonic() - start
        if asker.returncode:
            raise SystemExit(f"error: {client[0]} ended with status {asker.returncode}")
        listener.send_signal(signal.SIGTERM)
        return Exchange(elapsed_s, client_cpu_s, cpu_s(listener, LIMIT_S))
    finally:
        if listener.returncode is None:
            listener.kill()
            listener.wait()


def cpu_s(process: subprocess.Popen[bytes], limit_s: float) -> float:
    """Waits for the end of the process; its user and system time."""
    signal.alarm(int(limit_s))  # ends this program: nothing here may hang
    _pid, status, usage = os.wait4(process.pid, 0)
    signal.alarm(0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def listening(port: int) -> bool:
    rows = [
        line.split() for table in ("tcp", "tcp6") for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]
    ]
    return any(row[3] == "0A" and int(row[1].rpartition(":")[2], 16) == port for row in rows)


def scenarios(gigabytes: float) -> dict[str, Mapping[str, object]]:
    def made(**parameters: object) -> Mapping[str, object]:
        return generate("request_response", servers=1, clients=1, parameters=parameters)

    small = {"request_size": 1000, "response_size": 1000}
    return {
        "tiny": made(**small),
        "large": made(response_size=int(gigabytes * 1e9)),
        "many": made(**small, count=REQUESTS),
    }


def measure(repeats: int, gigabytes: float, folder: Path) -> list[dict[str, Any]]:
    """One row for each pair of drivers that is installed."""
    found = {(driver, role): command(driver, role) for driver in ("tcp", "pynetbench") for role in ("server", "client")}
    pairs = [(server, client) for server, client in PAIRS if found[server, "server"] and found[client, "client"]]
    documents = scenarios(gigabytes)
    played: dict[tuple[str, str], list[dict[str, Exchange]]] = {pair: [] for pair in pairs}
    for number in range(repeats):
        print(f"repeat {number + 1} of {repeats} …", file=sys.stderr, flush=True)
        for server, client in pairs:
            ends = found[server, "server"] or [], found[client, "client"] or []
            played[server, client].append({name: play(*ends, one, folder) for name, one in documents.items()})
    return [row(server, client, played[server, client], gigabytes) for server, client in pairs]


def row(server: str, client: str, played: list[dict[str, Exchange]], gigabytes: float) -> dict[str, Any]:
    moved_bytes = gigabytes * 1e9 - 1000
    goodputs = [moved_bytes * 8 / (one["large"].elapsed_s - one["tiny"].elapsed_s) for one in played]
    rounds = [(REQUESTS - 1) / (one["many"].elapsed_s - one["tiny"].elapsed_s) for one in played]
    return {
        "server": server,
        "client": client,
        "repeats": len(played),
        "goodput_bps": statistics.median(goodputs),
        "goodput_bps_min": min(goodputs),
        "goodput_bps_max": max(goodputs),
        "client_cpu_s_per_gb": statistics.median(one["large"].client_cpu_s - one["tiny"].client_cpu_s for one in played)
        / gigabytes,
        "server_cpu_s_per_gb": statistics.median(one["large"].server_cpu_s - one["tiny"].server_cpu_s for one in played)
        / gigabytes,
        "round_trips_per_s": statistics.median(rounds),
        "start_to_end_tiny_s": statistics.median(one["tiny"].elapsed_s for one in played),
    }


def table(rows: list[dict[str, Any]]) -> str:
    real = next((row["goodput_bps"] for row in rows if row["server"] == row["client"] == "tcp"), None)
    lines = [
        "server -> client            goodput Gbit/s (min to max)  of the real  CPU s/GB client, server  round trips/s"
        "  tiny exchange"
    ]
    for one in rows:
        share = f"{one['goodput_bps'] / real:.0%}" if real else "-"
        goodput = [f"{one[f'goodput_bps{which}'] / 1e9:.1f}" for which in ("", "_min", "_max")]
        lines.append(
            f"{one['server']:>10} -> {one['client']:<10}  {goodput[0]:>12} ({goodput[1]} to {goodput[2]})".ljust(53)
            + f"  {share:>11}  {one['client_cpu_s_per_gb']:>13.3f}, {one['server_cpu_s_per_gb']:.3f}"
            f"  {one['round_trips_per_s']:>13.0f}  {one['start_to_end_tiny_s'] * 1e3:>10.0f} ms"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="of each pair and scenario (default: 5)")
    parser.add_argument("--gigabytes", type=float, default=4.0, help="size of the large response (default: 4)")
    parser.add_argument("--json", type=Path, default=Path("results/bench-pynetbench.json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="pynetbench-bench-") as folder:
        rows = measure(arguments.repeats, arguments.gigabytes, Path(folder))
    print(table(rows))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    arguments.json.write_text(
        json.dumps({"cpus": os.cpu_count(), "load": os.getloadavg(), "pairs": rows}, indent=2) + "\n"
    )
    print(f"written to {arguments.json}")
    by_pair = {(row["server"], row["client"]): row["goodput_bps"] for row in rows}
    if ("tcp", "tcp") not in by_pair:
        print(
            "SKIPPED: the comparison: the real driver is not on PATH:"
            " cargo install --locked s2n-netbench-driver-tcp --root .cache/drivers"
        )
        return 0
    share = by_pair["pynetbench", "pynetbench"] / by_pair["tcp", "tcp"]
    print(f"pynetbench reaches {share:.0%} of the real driver's goodput; the goal is {GOAL:.0%}")
    return int(share < GOAL)


if __name__ == "__main__":
    sys.exit(main())
