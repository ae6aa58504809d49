# SPDX-License-Identifier: GPL-3.0-or-later
"""A peer: the barrier of roadblock's kind, over streams of a redis server, as good as it can be made.

    redis_barrier.py --members 100 [--repeats 5]

A leader and N members share a redis server on this machine. Each member says "ready" on the leader's stream and waits
on a common one; when the last has arrived the leader says "go" there, and each member confirms on the leader's stream.
Members live in one process, each with a connection of its own, as the simulated workers do. Unlike roadblock nobody
polls (all reads block), nobody keeps a log, and there are no time-outs: roadblock itself is slower than this.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OWN = ROOT / ".cache/bench/redis/usr"  # a place for a server that is not installed; see benchmarks/README.md
LIMIT_S = 60


def server() -> tuple[str, dict[str, str]] | None:
    """The redis server and its environment; None when there is none."""
    path = shutil.which("redis-server", path=os.pathsep.join((os.environ.get("PATH", os.defpath), str(OWN / "bin"))))
    libraries = os.pathsep.join(str(folder) for folder in OWN.glob("lib/*-linux-gnu"))
    return (path, {**os.environ, "LD_LIBRARY_PATH": libraries}) if path else None


class Redis:
    """One connection: commands out, replies (RESP 2) back."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def connect(cls, port: int) -> Redis:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    def say(self, *words: str) -> None:
        parts = [f"${len(word)}\r\n{word}\r\n" for word in words]
        self._writer.write(f"*{len(words)}\r\n{''.join(parts)}".encode())

    async def ask(self, *words: str) -> Any:
        self.say(*words)
        return await self.reply()

    async def reply(self) -> Any:
        line = await self._reader.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"*":
            return [await self.reply() for _unused in range(int(rest))]
        if kind == b"$":
            return None if rest == b"-1" else (await self._reader.readexactly(int(rest) + 2))[:-2].decode()
        if kind == b"-":
            raise RuntimeError(f"redis: {rest.decode()}")
        return rest.decode()

    def close(self) -> None:
        self._writer.close()


async def member(redis: Redis, round_number: int, wait: asyncio.Event | None) -> int:
    """One member's barrier; returns when it was released, on the monotonic clock."""
    if wait:
        await wait.wait()
    await redis.ask("XADD", f"leader{round_number}", "*", "said", "ready")
    await redis.ask("XREAD", "BLOCK", "0", "STREAMS", f"all{round_number}", "0")
    released_ns = time.monotonic_ns()
    await redis.ask("XADD", f"leader{round_number}", "*", "said", "gone")
    return released_ns


async def all_members(port: int, members: int, repeats: int, say: Connection) -> None:
    connections = [await Redis.connect(port) for _unused in range(members)]
    for round_number in range(repeats):
        straggle = asyncio.Event()
        tasks = [
            asyncio.create_task(member(redis, round_number, straggle if number == 0 else None))
            for number, redis in enumerate(connections)
        ]
        await asyncio.sleep(0.5)  # all but one are waiting
        straggle.set()
        times_ns = await asyncio.gather(*tasks)
        say.send((max(times_ns) - min(times_ns)) / 1e3)
    for redis in connections:
        redis.close()


def be_members(port: int, members: int, repeats: int, say: Connection) -> None:
    asyncio.run(all_members(port, members, repeats, say))


async def lead(port: int, members: int, repeats: int) -> list[float]:
    """The leader; returns for each barrier the ms from the last arrival to the last confirmation."""
    redis = await Redis.connect(port)
    barriers = []
    for round_number in range(repeats):
        last = "0"
        arrived_ns = 0
        for awaited in (members, members):
            heard = 0
            while heard < awaited:
                replies = await redis.ask("XREAD", "BLOCK", "0", "STREAMS", f"leader{round_number}", last)
                entries = replies[0][1]
                heard += len(entries)
                last = entries[-1][0]
            if not arrived_ns:
                arrived_ns = time.monotonic_ns()
                await redis.ask("XADD", f"all{round_number}", "*", "said", "go")
        barriers.append((time.monotonic_ns() - arrived_ns) / 1e6)
    redis.close()
    return barriers


def measure(members: int, repeats: int) -> dict[str, Any]:
    found = server()
    if found is None:
        return {"skipped": "no redis-server on this machine"}
    with tempfile.TemporaryDirectory(prefix="netbench-redis-") as folder, socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        argv = [found[0], "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        redis = subprocess.Popen([*argv, "--maxclients", "4000"], env=found[1], stdout=subprocess.DEVNULL)
        try:
            _wait_for(port)
            hear, say = multiprocessing.Pipe(duplex=False)
            others = multiprocessing.Process(target=be_members, args=(port, members, repeats, say), daemon=True)
            others.start()
            barriers = asyncio.run(asyncio.wait_for(lead(port, members, repeats), LIMIT_S))
            skews = [hear.recv() for _unused in range(repeats)]
            others.join(10)
        finally:
            redis.terminate()
            redis.wait(10)
    return {
        "members": members,
        "barrier_p50_ms": round(statistics.median(barriers), 1),
        "skew_p50_us": round(statistics.median(skews)),
    }


def _wait_for(port: int) -> None:
    until_s = time.monotonic() + 10
    while time.monotonic() < until_s:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise SystemExit("error: the redis server does not answer")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--members", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.members, arguments.repeats)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
