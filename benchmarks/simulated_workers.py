# SPDX-License-Identifier: GPL-3.0-or-later
"""Many simulated workers in one process: the real protocol and the real state machine, but no processes behind them.

Each worker has its own channel (the pipes that stand_in.py hands over), parses every request as a worker does, steps
`_protocol/machine.py`, and answers with the messages that the real worker sends, stamps included. What the machine
wants done (prepare, launch, seal) is done at once, and a client's process "ends" when its time is over.
"""

from __future__ import annotations

import argparse
import array
import asyncio
import gc
import hashlib
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / ".collections"))

from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import frames, machine, messages  # noqa: E402
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import plan as plans  # noqa: E402

HOST_FACTS = {"worker_version": "0", "python": "3", "os": "simulated", "kernel": "0", "cpus": 1, "boot_id": "0"}
TOO_LATE_NS = 2_000_000


class Stream:
    """A host's end of one command of the coordinator: its stdin and stdout, and the stand-in that waits."""

    def __init__(self, sock: socket.socket, command: str, stdin: int, stdout: int) -> None:
        self.words = command.split()
        self.stdin, self.stdout = stdin, stdout
        self._sock = sock
        os.set_blocking(stdin, False)

    def say(self, data: bytes) -> None:
        os.write(self.stdout, data)  # the pipe holds 64 KiB; a coordinator that reads nothing stops us, as it should

    def end(self) -> None:
        os.close(self.stdin)
        os.close(self.stdout)
        self._sock.send(b"0")
        self._sock.close()


class Worker:
    """One simulated worker behind an `attach`."""

    def __init__(self, plan: plans.Plan, slow_s: float) -> None:
        self._plan = plan
        self._slow_s = slow_s  # from its launch to "listening"
        self._loop = asyncio.get_running_loop()
        self._status = machine.Status()
        self._decoder = frames.Decoder()
        self._loaded = False
        self._at_ns = 0
        self._received_ns: int | None = None
        self._stream: Stream | None = None

    def attach(self, stream: Stream) -> None:
        self._stream = stream
        self._loop.add_reader(stream.stdin, self._readable)

    def _readable(self) -> None:
        stream = self._stream
        assert stream
        data = os.read(stream.stdin, 65536)
        self._received_ns = time.monotonic_ns()
        if not data:
            self._loop.remove_reader(stream.stdin)
            stream.end()
            return
        for frame in self._decoder.feed(data):
            self._request(messages.parse_request(frame))

    def _send(self, message: dict[str, Any]) -> None:
        assert self._stream
        stamps = {"received_ns": self._received_ns, "sent_ns": time.monotonic_ns()}
        self._stream.say(frames.encode({**message, **stamps}))

    def _request(self, request: dict[str, Any]) -> None:
        kind = request["type"]
        if kind == "enter":
            self._feed(machine.Enter(request["sample"], request["attempt"], request["state"], request["at_ns"]))
            return
        if kind == "stop":
            self._feed(machine.Stop(request["reason"]))
            return
        reply: dict[str, Any] = {"type": "reply", "id": request["id"]}
        if kind == "clock":
            reply["wall_ns"] = time.time_ns()
        elif kind == "hello":
            nothing = {
                "run_id": None,
                "plan_sha256": None,
                "sample": -1,
                "attempt": 0,
                "state": "idle",
                "phase": "ended",
            }
            reply.update(host=HOST_FACTS, status=nothing, reports=[])
        self._send(reply)

    def _feed(self, event: machine.Event) -> None:
        sample = event.sample if isinstance(event, machine.Enter) else self._status.sample
        point = self._plan.point(sample)
        self._status, actions = machine.step(self._status, event, point)
        for action in actions:
            self._perform(action, point)

    def _perform(self, action: machine.Action, point: plans.Point) -> None:
        if isinstance(action, machine.Report):
            self._report(action)
        elif isinstance(action, machine.Prepare):
            self._feed(machine.RuleMet("ready"))
        elif isinstance(action, machine.Launch):
            self._at_ns = time.monotonic_ns()
            self._loop.call_later(self._slow_s, self._feed, machine.RuleMet("running"))
        elif isinstance(action, machine.Arm):
            self._arm(action.at_ns, float(point.processes[0].command[-1]))
        elif isinstance(action, machine.Finish):
            self._feed(machine.RuleMet("done"))
        elif isinstance(action, machine.Clear):
            self._feed(machine.Cleared())

    def _arm(self, at_ns: int, duration_s: float) -> None:
        if at_ns - time.monotonic_ns() < TOO_LATE_NS:
            self._feed(machine.TooLate())
            return
        self._at_ns = at_ns
        self._loop.call_at(at_ns / 1e9 + duration_s, self._feed, machine.Exited())
        self._feed(machine.Armed())

    def _report(self, action: machine.Report) -> None:
        body: dict[str, Any] = {
            "type": "report",
            "kind": action.kind,
            "sample": action.sample,
            "attempt": action.attempt,
            "state": action.state,
            "reason": action.reason,
        }
        if action.kind == "ended" or (action.kind, action.state) == ("reached", "done"):
            body["facts"] = self._facts()
        self._send(body)

    def _facts(self) -> dict[str, Any]:
        now_ns = time.monotonic_ns()
        process = {
            "name": "simulated", "pid": 1, "start_ns": self._at_ns, "stop_ns": now_ns, "exit_status": 0, "signal": None,
            "stderr_tail": "",
        }  # fmt: skip
        return {
            "processes": [process], "wall_minus_mono_ns": time.time_ns() - now_ns, "control_packets": 0,
            "rx_bytes": 0, "tx_bytes": 0, "folder": "0000", "sealed_files": 2, "sealed_bytes": 0,
            "seal_sha256": "0" * 64,
        }  # fmt: skip


class Machines:
    """All hosts of this process: by the instance that is named in the command."""

    def __init__(self, slow_s: float) -> None:
        self._slow_s = slow_s
        self._plans: dict[str, plans.Plan] = {}
        self._loop = asyncio.get_running_loop()
        self._loaded: dict[str, plans.Plan] = {}  # equal but for the host's name: parsed once

    def accept(self, listener: socket.socket) -> None:
        sock, _unused = listener.accept()
        data, ancillary, _flags, _address = sock.recvmsg(4096, socket.CMSG_SPACE(8))
        files = array.array("i", ancillary[0][2])
        stream = Stream(sock, data.decode(), *files)
        verb = stream.words[3]
        host = next(word.partition("=")[2] for word in stream.words if word.startswith("--instance="))
        if verb == "attach":
            Worker(self._plans[host], self._slow_s).attach(stream)
        elif verb == "accept-plan":
            self._gather(stream, lambda given: self._accept_plan(host, given))
        else:  # export: an archive with nothing in it
            stream.say(bytes(10240))
            stream.end()

    def _accept_plan(self, host: str, given: bytes) -> bytes:
        self._plans[host] = plans.parse(given)
        return json.dumps({"plan_sha256": hashlib.sha256(given).hexdigest()}).encode()

    def _gather(self, stream: Stream, answer: Callable[[bytes], bytes]) -> None:
        parts: list[bytes] = []

        def readable() -> None:
            if data := os.read(stream.stdin, 1 << 20):
                parts.append(data)
                return
            self._loop.remove_reader(stream.stdin)
            stream.say(answer(b"".join(parts)))
            stream.end()

        self._loop.add_reader(stream.stdin, readable)


async def serve(path: str, slow_s: float) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(path)
        listener.listen(1024)
        listener.setblocking(False)
        machines = Machines(slow_s)
        asyncio.get_running_loop().add_reader(listener, machines.accept, listener)
        print("serving", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # until whoever started us closes it


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("socket")
    parser.add_argument("--listening-after", type=float, default=0.5, help="seconds that a server takes to listen")
    arguments = parser.parse_args()
    gc.disable()  # pauses of this process would be taken for the coordinator's
    asyncio.run(serve(arguments.socket, arguments.listening_after))
    return 0


if __name__ == "__main__":
    sys.exit(main())
