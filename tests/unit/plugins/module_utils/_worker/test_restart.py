# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker dies, is told to end, or its disk is full: what it says afterwards is true, and nothing is left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time

import pytest

from .driving import AT_T0, RABBITS, SIGNAL, alive, left_behind, pid_in, point, process, rabbits, wait_for

SLEEP = "import os, time; open('pid', 'w').write(f'{os.getpid()}\\n'); time.sleep(60)"
AWAY = (
    "import os, time\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0:\n"
    "    open('away', 'w').write(f'{os.getpid()}\\n'); time.sleep(60)\n  os._exit(0)\n" + SLEEP
)


def ticks(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[19])


def killed_in(worker, script=SLEEP, **fields):
    """A worker that was killed while its sample ran, and started again; the new coordinator and its greeting."""
    peer = worker.load(point(process(script=script), stop=SIGNAL, **fields))
    peer.walk("ready", "running")
    pid_in(worker.folder() / "pid")
    worker.kill()
    worker.start()
    again = worker.peer()
    wait_for(lambda: again.hello("run")["status"]["phase"] == "ended")
    fresh = worker.peer()
    return fresh, fresh.hello("run")


def test_a_killed_worker_says_so_after_its_restart_and_leaves_nothing(worker):
    peer, greeting = killed_in(worker, AWAY)
    assert not alive(pid_in(worker.folder() / "pid"))
    assert not alive(pid_in(worker.folder() / "away"))
    assert (greeting["status"]["state"], greeting["status"]["sample"]) == ("failed", 0)
    reasons = {report["kind"]: report["reason"] for report in greeting["reports"]}
    assert reasons["failed"] == reasons["ended"] == "the worker died while sample 0 was in state 'running'"
    ended = greeting["reports"][-1]["facts"]
    assert ended["processes"][0]["pid"] == pid_in(worker.folder() / "pid")
    assert json.loads((worker.folder() / "seal.json").read_bytes())["files"]
    peer.enter("ready")
    assert "not started twice" in peer.report("refused")["reason"]
    peer.enter("ready", attempt=2)
    peer.report("reached", "ready")


def test_what_forks_fast_does_not_outlive_its_worker_either(worker):
    peer = worker.load(point(process(script=rabbits()), stop=SIGNAL))
    peer.walk("ready", "running")
    wait_for(lambda: len(list(worker.folder().glob("born-*"))) == RABBITS)
    worker.kill()
    worker.start()
    wait_for(lambda: worker.peer().hello("run")["status"]["phase"] == "ended", 5)
    assert not list(left_behind(worker.folder()))


def test_a_restart_between_samples_loses_nothing(worker):
    peer = worker.load(point(process()), samples=[0, 0])
    peer.walk("ready", "running")
    facts = peer.report("reached", "done")["facts"]
    worker.kill()
    worker.start()
    again = worker.peer()
    greeting = again.hello("run")
    assert (greeting["status"]["state"], greeting["status"]["plan_sha256"] is not None) == ("done", True)
    assert greeting["reports"][-1]["facts"] == facts
    again.walk("ready", "running", sample=1)
    again.report("reached", "done")


def test_a_worker_that_died_before_it_could_say_done_says_so_when_it_is_back(worker):
    peer = worker.load(point(process()))
    peer.walk("ready", "running")
    facts = peer.report("reached", "done")["facts"]
    worker.kill()
    path = worker.state / "runs" / "run" / "journal.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if '"kind":"reached"' not in line or '"state":"done"' not in line))
    assert len(path.read_text().splitlines()) == len(lines) - 1
    worker.start()
    last = worker.peer().hello("run")["reports"][-1]
    assert (last["kind"], last["state"]) == ("reached", "done")
    known = ("name", "pid", "start_ns", "stop_ns", "exit_status")
    assert [[each[name] for name in known] for each in last["facts"]["processes"]] == [
        [each[name] for name in known] for each in facts["processes"]
    ]
    assert last["facts"]["seal_sha256"] == facts["seal_sha256"]


def test_a_sample_that_was_armed_when_the_worker_died_has_failed_and_did_not_start(worker):
    peer = worker.load(point(process(script="open('ran', 'w')"), launch=AT_T0))
    peer.walk("ready")
    peer.enter("running", at_ns=time.monotonic_ns() + 600_000_000)
    peer.report("armed")
    worker.kill()
    worker.start()
    again = worker.peer()
    wait_for(lambda: again.hello("run")["status"]["state"] == "failed")
    time.sleep(0.7)
    assert not (worker.folder() / "ran").exists()


def test_preparations_are_undone_after_a_restart(worker):
    undo = ["/bin/sh", "-c", "echo undone >> notes"]
    killed_in(worker, prepare=[{"command": ["/bin/true"], "undo": undo}])
    assert (worker.folder() / "notes").read_text() == "undone\n"


@pytest.mark.parametrize("spoil", ["cut", "garbage", "empty"])
def test_a_spoiled_journal_never_starts_a_sample_twice(worker, spoil):
    peer = worker.load(point(process()))
    peer.walk("ready", "running")
    peer.report("reached", "done")
    worker.kill()
    path = worker.state / "runs" / "run" / "journal.jsonl"
    if spoil == "cut":
        path.write_bytes(path.read_bytes()[:-40])
    elif spoil == "garbage":
        path.write_bytes(path.read_bytes() + b'\xff\n{"event":"held","processes":3}\n{"event":"status","sample":[]}\n{')
    else:
        path.write_bytes(b"")
    worker.start()
    again = worker.peer()
    greeting = again.hello("run")
    again.enter("ready")
    message = again.receive()
    if spoil == "empty":
        assert greeting["status"]["sample"] == -1
        assert message["kind"] == "failed"
        assert message["reason"] == "0000 is there already: it was started before"
    else:
        assert greeting["status"]["sample"] == 0
        assert message["kind"] == "reached", "it is said again, and nothing is started"
        assert path.read_bytes().count(b'"event":"held","mono_ns"') == 1
    assert json.loads(path.read_bytes().splitlines()[-1])["event"], "what came later stands on lines of its own"


def test_pids_of_another_boot_are_not_touched(worker):
    worker.load(point(process()))
    worker.kill()
    bystander = subprocess.Popen(["/bin/sleep", "60"], start_new_session=True)
    try:
        with open(worker.state / "runs" / "run" / "journal.jsonl", "a") as journal:
            status = {
                "sample": 0,
                "attempt": 1,
                "state": "running",
                "phase": "reached",
                "reason": None,
                "exited": False,
            }
            plan_sha256 = worker.journal()[0]["plan_sha256"]
            for record in (
                {"event": "open", "boot_id": "another", "plan_sha256": plan_sha256},
                {"event": "status", **status},
                {
                    "event": "held",
                    "processes": [{"name": "client", "pid": bystander.pid, "start_ticks": ticks(bystander.pid)}],
                },
            ):
                journal.write(json.dumps(record) + "\n")
        worker.start()
        again = worker.peer()
        wait_for(lambda: again.hello("run")["status"]["phase"] == "ended")
        assert (
            again.hello("run")["reports"][0]["reason"] == "the host was rebooted while sample 0 was in state 'running'"
        )
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_a_reused_pid_is_not_touched_in_the_same_boot(worker):
    peer = worker.load(point(process(script=SLEEP), stop=SIGNAL))
    peer.walk("ready", "running")
    worker.kill()
    bystander = subprocess.Popen(["/bin/sleep", "60"])
    try:
        path = worker.state / "runs" / "run" / "journal.jsonl"
        held = next(record for record in worker.journal() if record["event"] == "held")
        path.write_text(path.read_text().replace(f'"pid":{held["processes"][0]["pid"]}', f'"pid":{bystander.pid}'))
        worker.start()
        again = worker.peer()
        wait_for(lambda: again.hello("run")["status"]["phase"] == "ended")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_sigterm_ends_the_sample_seals_it_and_exits_0(worker):
    peer = worker.load(point(process(script=SLEEP), stop=SIGNAL))
    peer.walk("ready", "running")
    pid = pid_in(worker.folder() / "pid")
    assert worker.terminate() == 0
    assert not alive(pid)
    assert peer.report("aborted")["reason"] == "the worker was told to end (SIGTERM)"
    assert peer.report("ended")["facts"]["seal_sha256"]
    assert not worker.socket.exists()
    assert worker.journal()[-1]["event"] == "worker ended"


def test_a_worker_without_anything_to_do_ends(idle_worker):
    idle_worker.start("--idle-exit", "0.3")
    assert idle_worker.daemon.wait(5) == 0
    assert "ended: idle for 0.3 s" in idle_worker.log.read_text()


def test_an_attached_coordinator_or_a_running_sample_keeps_it(idle_worker):
    idle_worker.start("--idle-exit", "0.3")
    peer = idle_worker.load(point(process(script=SLEEP), stop=SIGNAL))
    time.sleep(0.5)
    peer.walk("ready", "running")
    peer.close()
    time.sleep(0.5)
    again = idle_worker.peer()
    again.hello("run")
    again.walk("done")
    again.close()
    assert idle_worker.daemon.wait(5) == 0


def test_a_second_worker_of_the_same_instance_is_refused(worker):
    second = worker.run("serve")
    assert second.returncode == 1
    assert b"has a worker already" in second.stderr
    assert worker.peer().hello("run")["host"]


@pytest.fixture
def small_disk(idle_worker):
    """A worker whose state directory has 600 KiB."""
    if os.getuid() != 0:
        pytest.skip("needs root, to mount a small file system")
    idle_worker.state.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", "size=600k,mode=700", "tmpfs", str(idle_worker.state)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a small file system")
    yield idle_worker.start()
    idle_worker.end()
    subprocess.run(["umount", str(idle_worker.state)], check=True)


def fill(path):
    """Append until nothing fits."""
    with open(path, "ab", buffering=0) as stream, contextlib.suppress(OSError):
        while True:
            stream.write(b"\n" * 64 if stream.tell() < 4096 else b"\n" * 4096)
    with open(path, "ab", buffering=0) as stream, pytest.raises(OSError, match="No space"):
        stream.write(b"\n" * 4096)


def test_a_full_disk_fails_the_sample_ends_its_processes_and_is_survived(small_disk):
    fill = SLEEP.replace("time.sleep(60)", "print('x' * 2000000, flush=True); time.sleep(60)")
    peer = small_disk.load(point(process(script=fill), stop=SIGNAL, outputs=["pid"]))
    peer.walk("ready", "running")
    pid = pid_in(small_disk.folder() / "pid")
    message = peer.receive() or {}
    while message.get("kind") != "ended":
        if message.get("kind") == "failed":
            reason = message["reason"]
        elif message.get("kind") == "reached":
            peer.enter("done")
        message = peer.receive()
    assert reason.startswith("client exited with status 1")
    assert reason.endswith("; the disk for its outputs is full")
    assert not alive(pid)
    (small_disk.folder() / "client.stdout").unlink()
    peer.enter("ready", attempt=2)
    peer.report("reached", "ready")


def test_a_journal_that_cannot_be_written_starts_nothing(small_disk):
    peer = small_disk.load(point(process(script="open('ran', 'w')")))
    path = small_disk.state / "runs" / "run" / "journal.jsonl"
    peer.walk("ready")
    fill(small_disk.state / "filler")
    fill(path)  # the rest of its last block
    peer.enter("running")
    assert "the journal cannot be written: No space left on device" in peer.report("failed")["reason"]
    peer.report("ended")
    assert not (small_disk.folder() / "ran").exists()
    (small_disk.state / "filler").unlink()
    peer.enter("ready", attempt=2)
    peer.report("reached", "ready")


def test_a_stopped_worker_goes_on_where_it_was(worker):
    peer = worker.load(point(process(script="import time; time.sleep(.2)"), launch=AT_T0))
    peer.walk("ready")
    peer.enter("running", at_ns=time.monotonic_ns() + 100_000_000)
    peer.report("armed")
    os.kill(worker.daemon.pid, signal.SIGSTOP)
    time.sleep(0.6)
    os.kill(worker.daemon.pid, signal.SIGCONT)
    assert peer.report("reached", "done")["facts"]["processes"][0]["exit_status"] == 0
