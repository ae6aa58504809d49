# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes wrong with processes: the right verdict, in words, and nothing left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import time

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._worker import readiness

from .driving import AT_T0, RABBITS, SIGNAL, alive, left_behind, pid_in, point, process, rabbits, wait_for

SLEEP = "import os, time; open('pid', 'w').write(f'{os.getpid()}\\n'); time.sleep(60)"
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP


@pytest.fixture
def worker(lent_worker):
    return lent_worker


def fails(peer, *states):
    """Walk until the report `failed`; returns its reason and the facts of `ended`."""
    peer.walk(*states[:-1])
    peer.enter(states[-1])
    message = peer.receive()
    while message["kind"] == "reached":
        message = peer.receive()
    assert message["kind"] == "failed", message
    return message["reason"], peer.report("ended")["facts"]


def test_a_client_that_exits_3_is_a_failed_sample_with_its_last_words(worker):
    script = "import sys; sys.stderr.write('first\\n\\x1b[31mno route\\x07 to host\\n'); sys.exit(3)"
    reason, facts = fails(worker.load(point(process(script=script))), "ready", "running")
    assert reason == "client exited with status 3"
    (told,) = facts["processes"]
    assert (told["exit_status"], told["stderr_tail"]) == (3, "first\nno route to host")


@pytest.mark.parametrize("listens", [True, False])
def test_a_client_that_cannot_reach_its_server_is_told_with_the_port(worker, listens):
    with socket.create_server(("127.0.0.1", 0)) as server:
        where = {"address": "127.0.0.1", "port": server.getsockname()[1]}
        if not listens:
            server.close()
        clients = [process(name, script="raise SystemExit(3)", peer=where) for name in ("one", "two")]
        reason, _facts = fails(worker.load(point(*clients)), "ready", "running")
    problem, *more = reason.split("; ")
    assert problem in ("one exited with status 3", "two exited with status 3")
    told = f"127.0.0.1:{where['port']}/tcp cannot be reached from here (Connection refused): is a firewall in the way?"
    assert more == ([] if listens else [told])


def test_a_server_that_drops_what_comes_is_told_as_one_that_does_not_answer(monkeypatch):
    monkeypatch.setattr(readiness, "_ANSWER_S", 0.2)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, contextlib.ExitStack() as waiting:
        port = server.getsockname()[1]
        for _number in range(3):  # its queue is full now, and the kernel drops what comes
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(server.getsockname())
        (told,) = asyncio.run(readiness.unreachable([{"address": "127.0.0.1", "port": port}] * 2))
    assert told == f"127.0.0.1:{port}/tcp cannot be reached from here (no answer): is a firewall in the way?"


def test_a_status_that_the_plan_calls_success_is_one(worker):
    peer = worker.load(point(process(script="raise SystemExit(3)", success=[0, 3])))
    peer.walk("ready", "running")
    assert peer.report("reached", "done")["facts"]["processes"][0]["exit_status"] == 3


def test_a_killed_process_is_a_failure_and_ends_the_others(worker):
    peer = worker.load(point(process("one", SLEEP.replace("'pid'", "'one'")), process("two", SLEEP)))
    peer.walk("ready", "running")
    other = pid_in(worker.folder() / "pid")
    os.kill(pid_in(worker.folder() / "one"), signal.SIGSEGV)
    assert peer.report("failed", "running")["reason"] == "one was killed by SIGSEGV"
    facts = peer.report("ended")["facts"]
    assert [told["signal"] for told in facts["processes"]] == ["SEGV", "KILL"]
    assert not alive(other)


def test_a_server_that_ends_before_it_is_asked_is_a_failure_at_once(worker):
    peer = worker.load(point(process("server", "pass"), stop=SIGNAL))
    reason, _unused = fails(peer, "ready", "running")
    assert reason == "server exited with status 0 before it was asked to end"


def test_a_process_that_ignores_sigterm_is_killed_after_its_grace_and_that_is_a_failure(worker):
    peer = worker.load(point(process(script=STUBBORN), stop=SIGNAL))
    peer.walk("ready", "running")
    pid = pid_in(worker.folder() / "pid")
    began_s = time.monotonic()
    peer.enter("done")
    reason = peer.report("failed", "done")["reason"]
    assert reason == "client had to be killed: it did not end within 0.3 s of SIGTERM"
    assert 0.25 < time.monotonic() - began_s < 3
    assert peer.report("ended")["facts"]["sealed_files"]
    assert not alive(pid)


def test_a_process_that_is_to_be_killed_ends_well(worker):
    peer = worker.load(point(process(script=STUBBORN), stop={**SIGNAL, "signal": "KILL"}))
    peer.walk("ready", "running", "done")


def test_a_stopped_process_is_a_failure_at_once_and_is_ended(worker):
    peer = worker.load(point(process(script=SLEEP), stop=SIGNAL))
    peer.walk("ready", "running")
    pid = pid_in(worker.folder() / "pid")
    os.kill(pid, signal.SIGSTOP)
    assert peer.report("failed", "running")["reason"] == "client was stopped by SIGSTOP"
    peer.report("ended")
    assert not alive(pid)


def test_a_process_that_forks_away_and_ignores_sigterm_is_ended_too(worker):
    twice = f"if os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0:\n    {STUBBORN}\n  os._exit(0)\n"
    away = f"import os, time\n{twice}os.wait()\ntime.sleep(60)"
    peer = worker.load(point(process(script=away), stop=SIGNAL))
    peer.walk("ready", "running")
    pid = pid_in(worker.folder() / "pid")
    peer.walk("done")
    assert not alive(pid)


@pytest.mark.parametrize("away", ["pass", "os.setsid()"])
def test_processes_that_fork_faster_than_one_looks_are_ended(worker, away):
    peer = worker.load(point(process(script=rabbits(away)), stop={"rule": "signal", "signal": "USR1", "grace_s": 0}))
    peer.walk("ready", "running")
    wait_for(lambda: len(list(worker.folder().glob("born-*"))) == RABBITS)
    peer.walk("done")
    assert not list(left_behind(worker.folder()))


def test_stop_aborts_within_a_second_and_keeps_what_there_is(worker):
    peer = worker.load(point(process(script="print('partial', flush=True); " + STUBBORN), stop=SIGNAL))
    peer.walk("ready", "running")
    pid = pid_in(worker.folder() / "pid")
    began_s = time.monotonic()
    peer.send(type="stop", reason="Ctrl-C")
    assert peer.report("aborted", "running")["reason"] == "Ctrl-C"
    facts = peer.report("ended", "aborted")["facts"]
    assert time.monotonic() - began_s < 1
    assert not alive(pid)
    assert facts["sealed_files"] == 4
    assert "partial" in (worker.folder() / "client.stdout").read_text()
    peer.enter("ready", attempt=2)
    peer.report("reached", "ready")
    assert worker.folder("0000.2").is_dir()
    peer.send(type="stop", reason="enough")
    peer.report("aborted")
    peer.report("ended")


def test_a_held_process_that_dies_is_noticed(worker):
    peer = worker.load(point(process(), launch=AT_T0))
    peer.walk("ready")
    held = next(record for record in worker.journal() if record["event"] == "held")
    os.kill(held["processes"][0]["pid"], signal.SIGKILL)
    assert peer.report("failed", "ready")["reason"] == "client was killed by SIGKILL before it was started"
    peer.report("ended")


def test_a_missing_program_is_found_in_ready(worker):
    reason, _unused = fails(worker.load(point({**process(), "command": ["no-such-driver", "x"]})), "ready")
    assert reason == "the program 'no-such-driver' was not found in /usr/bin:/bin"


def test_another_program_than_the_planned_one_is_found_in_ready(worker):
    reason, _unused = fails(worker.load(point(process(sha256="0" * 64))), "ready")
    assert "is not the planned program" in reason


def test_a_program_that_cannot_be_executed_is_a_failure(worker, short_path):
    program = short_path / "driver"
    program.write_text("#!/no/such/interpreter\n")
    program.chmod(0o755)
    reason, _unused = fails(worker.load(point({**process(), "command": [str(program)]})), "ready", "running")
    assert reason == "client could not be executed: No such file or directory"


def test_a_taken_port_is_found_in_ready_and_its_owner_named(worker):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        rule = {"rule": "listening", "ports": [{"port": port, "address": "127.0.0.1"}]}
        launch = {"name": "running", "reached": rule, "deadline_s": 5}
        reason, _unused = fails(worker.load(point(process(), launch=launch, stop=SIGNAL)), "ready")
    assert reason.startswith(f"127.0.0.1:{port}/tcp is taken by ")
    assert f"(pid {os.getpid()})" in reason


@pytest.mark.parametrize(
    ("rule", "missing"),
    [
        (
            {"rule": "listening", "ports": [{"port": 9}]},
            "no process of the sample listens on port 9/tcp",
        ),
        ({"rule": "line", "file": "client.stdout", "pattern": "up"}, "no line of client.stdout matches 'up'"),
        ({"rule": "probe", "command": ["/bin/false"]}, "the probe exited with status 1"),
        ({"rule": "probe", "command": ["/bin/sleep", "60"]}, "the probe has not ended"),
    ],
)
def test_every_rule_has_a_deadline_and_says_what_is_missing(worker, rule, missing):
    launch = {"name": "running", "reached": rule, "deadline_s": 0.3}
    reason, _unused = fails(worker.load(point(process(script=SLEEP), launch=launch, stop=SIGNAL)), "ready", "running")
    assert reason == f"state 'running' was not reached within 0.3 s: {missing}"


def test_a_client_that_does_not_end_misses_the_deadline_of_done(worker):
    peer = worker.load(point(process(script=STUBBORN), launch=AT_T0, done_s=0.5))
    peer.walk("ready")
    peer.enter("running", at_ns=time.monotonic_ns() + 50_000_000)
    peer.report("armed")
    pid = pid_in(worker.folder() / "pid")
    reason = peer.report("failed")["reason"]
    assert reason == f"state 'done' was not reached within 0.5 s: still there: client (pid {pid})"
    peer.report("ended")


def test_a_missing_output_is_a_failure(worker):
    reason, facts = fails(worker.load(point(process(), outputs=["result.json"])), "ready", "running")
    assert reason == "it did not write result.json"
    assert facts["seal_sha256"]


def test_a_prepare_command_that_fails_is_undone_and_names_itself(worker):
    steps = [
        {
            "command": ["/bin/sh", "-c", "echo no such setting >&2; exit 4"],
            "undo": ["/bin/sh", "-c", "echo undone >> notes"],
        }
    ]
    reason, _unused = fails(worker.load(point(process(), prepare=steps)), "ready")
    assert reason == "the command /bin/sh -c 'echo no such setting >&2; exit 4' exited with status 4: no such setting"
    assert (worker.folder() / "notes").read_text() == "undone\n"


def test_a_probe_that_hangs_is_ended_with_its_state(worker):
    launch = {"name": "running", "reached": {"rule": "probe", "command": ["/bin/sleep", "61"]}, "deadline_s": 5}
    peer = worker.load(point(process(script=SLEEP), launch=launch, stop=SIGNAL))
    peer.walk("ready")
    peer.enter("running")
    pid_in(worker.folder() / "pid")
    peer.send(type="stop", reason="enough")
    peer.report("aborted")
    peer.report("ended")


def test_secrets_of_the_environment_stay_in_the_plan(worker):
    secret = "hunter2-canary"
    script = "import os, sys; sys.stderr.write('token ' + os.environ['TOKEN']); sys.exit(1)"
    planned = process(script=script, environment={"TOKEN": secret}, secret_environment=["TOKEN"])
    prepare = [{"command": ["/bin/sh", "-c", f": {secret}"]}]
    peer = worker.load(point(planned, prepare=prepare))
    reason, facts = fails(peer, "ready", "running")
    assert facts["processes"][0]["stderr_tail"] == "token ***"
    assert secret not in reason
    assert secret not in worker.log.read_text()
    wait_for(lambda: worker.journal()[-1]["event"] == "report")
    assert secret not in str(worker.journal())
