# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Real workers, driven over their sockets: each test has its own directories, and nothing of it outlives the test."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import frames, messages, plan

COLLECTIONS = Path(plan.__file__).resolve().parents[3] / ".collections"
PACKAGE = "ansible_collections.netbench.orchestrator.plugins.module_utils._worker.cli"
LAUNCHER = f"import sys; sys.path.insert(0, {str(COLLECTIONS)!r}); from {PACKAGE} import main; sys.exit(main())"
DEADLINE_S = 15.0


def process(name="client", script="pass", **fields):
    """A planned process that runs a Python script."""
    command = [sys.executable, "-S", "-c", script]
    return {"name": name, "command": command, "environment": {"PATH": "/usr/bin:/bin"}, **fields}


def point(*processes, launch=None, states=(), stop=None, deadline_s=10, done_s=10, **fields):
    """A grid point: started at once, ended by themselves, unless said otherwise."""
    launch = launch or {"name": "running", "reached": {"rule": "started"}, "deadline_s": deadline_s}
    return {
        "processes": list(processes),
        "states": [
            {"name": "ready", "reached": {"rule": "prepared"}, "deadline_s": deadline_s},
            launch,
            *states,
            {"name": "done", "reached": {"rule": "stopped"}, "deadline_s": done_s},
        ],
        "stop": stop or {"rule": "exit"},
        "interface": "lo",
        **fields,
    }


RABBITS = 4


def rabbits(away="pass"):
    """A script of lines of processes, each of which lives just long enough to fork the next one.

    A line writes born-N when it has gone on for a while. Should nobody end it, it dies out by itself.
    """
    line = (
        "until_s = time.monotonic() + 20; age = 0\n"
        "while time.monotonic() < until_s:\n"
        "  if os.fork(): os._exit(0)\n"
        f"  {away}; age += 1\n"
        "  if age == 20: open(f'born-{number}', 'w')\n"
        "os._exit(0)"
    )
    return (
        "import os, time; open('pid', 'w').write(f'{os.getpid()}\\n')\n"
        f"for number in range({RABBITS}):\n  if os.fork() == 0:\n    exec({line!r})\ntime.sleep(60)"
    )


AT_T0 = {"name": "running", "entry": "at_t0", "reached": {"rule": "started"}, "deadline_s": 5}
SIGNAL = {"rule": "signal", "grace_s": 0.3}


class Peer:
    """A coordinator in miniature, or whoever else connects."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE_S)
        try:
            self.socket.connect(str(path))
        except OSError:
            self.socket.close()
            raise
        self._decoder = frames.Decoder()
        self._waiting = []
        self._id = 0

    def send(self, **message):
        self.socket.sendall(frames.encode(message))

    def receive(self):
        """The next message; None when the worker has hung up."""
        while not self._waiting:
            data = self.socket.recv(65536)
            if not data:
                return None
            self._waiting += self._decoder.feed(data)
        message = self._waiting.pop(0)
        return messages.parse_worker_message(message) if message["type"] != "local" else message

    def ask(self, kind, **fields):
        """A request and its reply; reports that come before it are kept."""
        self._id += 1
        self.send(type=kind, id=self._id, **fields)
        early = []
        while True:
            message = self.receive()
            assert message is not None, "the worker hung up"
            if message["type"] == "reply":
                assert message["id"] == self._id
                self._waiting = early + self._waiting
                return message
            early.append({name: value for name, value in message.items() if value is not None})

    def hello(self, run_id, coordinator="tester", **fields):
        return self.ask("hello", protocol=frames.PROTOCOL, coordinator=coordinator, run_id=run_id, **fields)

    def enter(self, state, sample=0, attempt=1, at_ns=None, lease_s=60):
        self.send(type="enter", sample=sample, attempt=attempt, state=state, at_ns=at_ns, lease_s=lease_s)

    def report(self, kind, state=None):
        """The next report, which has to be of this kind."""
        message = self.receive()
        assert message is not None, "the worker hung up"
        assert message["type"] == "report", message
        assert (message["kind"], message["state"]) == (kind, state or message["state"]), message
        return message

    def walk(self, *states, sample=0, attempt=1):
        """Enter states that are entered at once, each when the one before is reached."""
        for state in states:
            self.enter(state, sample=sample, attempt=attempt)
            self.report("reached", state)

    def close(self):
        self.socket.close()


class Worker:
    """A worker in its own directories."""

    def __init__(self, folder):
        self.state, self.runtime = folder / "state", folder / "run"
        self.place = ["--state-dir", str(self.state), "--runtime-dir", str(self.runtime)]
        self.socket = self.runtime / "worker.sock"
        self.log = folder / "log"
        self.daemon = None
        self.run_id = "run"
        self._peers = []

    def start(self, *options, environment=None):
        with open(self.log, "ab") as log:
            self.daemon = subprocess.Popen(
                [sys.executable, "-c", LAUNCHER, "serve", *self.place, *options], stderr=log, env=environment
            )
        wait_for(lambda: self.daemon.poll() is not None or self._answers())
        assert self.daemon.poll() is None, self.log.read_text()
        return self

    def _answers(self):
        try:
            Peer(self.socket).close()
        except OSError:
            return False
        return True

    def run(self, *arguments, given=b""):
        """One command of the command line."""
        argv = [sys.executable, "-c", LAUNCHER, *arguments, *self.place]
        return subprocess.run(argv, input=given, capture_output=True, timeout=DEADLINE_S, check=False)

    def accept(self, *points, run_id=None, samples=None, inputs=None):
        """Store a plan in this worker, as accept-plan does; returns its sha256."""
        document = {
            "schema": 1,
            "run_id": run_id or self.run_id,
            "suite": "suite",
            "host": "here",
            "group": "clients",
            "index": 0,
            "points": list(points),
            "samples": samples or list(range(len(points))),
            "inputs": {plan.digest(text.encode()): text for text in inputs or ()},
        }
        encoded = plan.encode(document)
        plan.parse(encoded)
        path = self.state / "plans" / f"{plan.digest(encoded)}.json"
        path.write_bytes(encoded)
        path.chmod(0o600)
        return plan.digest(encoded)

    def peer(self):
        peer = Peer(self.socket)
        self._peers.append(peer)
        return peer

    def load(self, *points, lease_s=60, **fields):
        """A coordinator that has this plan loaded."""
        sha256 = self.accept(*points, **fields)
        peer = self.peer()
        peer.hello(self.run_id)
        assert peer.ask("load", run_id=self.run_id, plan_sha256=sha256, lease_s=lease_s)["refused"] is None
        return peer

    def journal(self):
        lines = (self.state / "runs" / self.run_id / "journal.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def folder(self, name="0000"):
        return self.state / "runs" / self.run_id / "samples" / name

    def leave(self):
        """Let go of everything, so that the next test finds nothing going on."""
        for peer in self._peers:
            peer.close()
        self._peers.clear()
        last = self.peer()
        last.send(type="local", verb="stop")
        assert "stopped" in last.receive()
        last.close()
        assert not list(left_behind(self.state))

    def kill(self):
        self.daemon.kill()
        self.daemon.wait()

    def terminate(self):
        self.daemon.terminate()
        return self.daemon.wait(DEADLINE_S)

    def end(self):
        for peer in self._peers:
            peer.close()
        if self.daemon and self.daemon.poll() is None:
            self.daemon.terminate()
            try:
                self.daemon.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.kill()


def wait_for(true, timeout_s=DEADLINE_S):
    """Look until it is so; fails the test when it never is."""
    until = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < until, "it did not come about"
        time.sleep(0.01)


def alive(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def pid_in(path):
    """The process id that a script wrote into a file of its sample."""
    wait_for(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def left_behind(folder):
    """Processes that still work in this folder."""
    for name in os.listdir("/proc"):
        with contextlib.suppress(OSError):
            if name.isdigit() and os.readlink(f"/proc/{name}/cwd").startswith(str(folder)) and alive(int(name)):
                yield int(name)
