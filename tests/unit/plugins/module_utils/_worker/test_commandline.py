# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's command line, as people, Ansible and SSH use it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import frames, plan
from ansible_collections.netbench.orchestrator.plugins.module_utils._worker import attach, commandline, place, texts
from ansible_collections.netbench.orchestrator.plugins.module_utils._worker.errors import StorageError

from .driving import LAUNCHER, SIGNAL, alive, point, process, wait_for


def document(**changes):
    whole = {
        "schema": 1, "run_id": "run", "suite": "s", "host": "h", "group": "g", "index": 0,
        "points": [point(process())], "samples": [0],
    }  # fmt: skip
    return plan.encode({**whole, **changes})


@pytest.fixture
def joined(worker):
    """A subprocess that is attached, as ssh would start it."""
    environment = {**os.environ, "SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22"}
    argv = [sys.executable, "-c", LAUNCHER, "attach", *worker.place]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(argv, env=environment, **pipes) as channel:
        yield channel
        channel.kill()


def say(channel, **message):
    channel.stdin.write(frames.encode(message))
    channel.stdin.flush()


def test_attach_joins_stdin_and_stdout_and_ends_with_either(worker, joined):
    say(joined, type="hello", id=1, protocol=1, coordinator="c", run_id="run")
    assert json.loads(joined.stdout.readline())["host"]
    joined.stdin.close()
    assert joined.wait(5) == 0
    wait_for(lambda: "coordinator c is not attached any more" in worker.log.read_text())


def test_attach_ends_when_the_worker_does(worker, joined):
    say(joined, type="hello", id=1, protocol=1, coordinator="c", run_id="run")
    joined.stdout.readline()
    worker.kill()
    assert joined.wait(5) == 0


def test_attach_without_a_worker_says_so_in_one_line(idle_worker):
    said = idle_worker.run("attach")
    assert said.returncode == attach.NOT_THERE
    assert said.stderr.decode().startswith(f"worker: no worker answers at {idle_worker.socket} (No such file")
    assert said.stderr.count(b"\n") == 1


def test_ssh_connection_is_found_behind_privilege_escalation():
    script = f"import sys; sys.path.insert(0, {str(Path(attach.__file__).resolve().parents[3] / '.collections')!r})"
    script += f"; from {attach.__name__} import ssh_connection; print(ssh_connection())"
    sudo = ["env", "-i", sys.executable, "-c", script]
    shell = ["/bin/sh", "-c", '"$@"; true', "sh", *sudo]
    environment = {**os.environ, "SSH_CONNECTION": "192.0.2.1 50000 192.0.2.2 22"}
    said = subprocess.run(shell, env=environment, capture_output=True, text=True, check=True)
    assert said.stdout == "192.0.2.1 50000 192.0.2.2 22\n"


def test_accept_plan_keeps_a_good_plan_for_its_owner_only(idle_worker):
    encoded = document()
    said = idle_worker.run("accept-plan", given=encoded)
    sha256 = json.loads(said.stdout)["plan_sha256"]
    path = idle_worker.state / "plans" / f"{sha256}.json"
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (encoded, 0o600)
    assert (idle_worker.state / "plans").stat().st_mode & 0o777 == 0o700


def test_a_plan_is_kept_where_no_worker_runs_and_none_pretends_to(idle_worker):
    """Systemd takes the runtime directory away with the worker; that the worker is gone is what attach says."""
    assert idle_worker.run("accept-plan", given=document()).returncode == 0
    assert not idle_worker.socket.parent.exists()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        (b"nonsense", "a plan must be JSON"),
        (document(samples=[7]), "samples[0]: there is no point 7."),
        (document(sample=[0]), "Did you mean 'samples'?"),
    ],
)
def test_accept_plan_refuses_a_bad_one_in_one_line(idle_worker, given, problem):
    said = idle_worker.run("accept-plan", given=given)
    assert said.returncode == 1
    assert problem in said.stderr.decode()
    assert said.stderr.count(b"\n") == 1
    assert list((idle_worker.state / "plans").iterdir()) == []


def test_start_answers_when_it_returns_and_is_idempotent(idle_worker):
    began_s = time.monotonic()
    first = idle_worker.run("start", "--idle-exit", "20")
    assert first.stdout.startswith(b"started (pid "), first.stderr
    status = json.loads(idle_worker.run("status", "--json").stdout)
    assert alive(status["pid"])
    assert time.monotonic() - began_s < 10
    assert (status["active"], status["run_id"], status["state"]) == (False, None, "idle")
    assert set(status) == {
        "instance", "pid", "version", "archive_sha256", "run_id", "sample", "attempt", "state", "phase", "reason",
        "active", "since_s", "coordinator", "lease_left_s", "processes",
    }  # fmt: skip
    ended = idle_worker.run("stop", "--worker")
    assert ended.stdout == b"no sample was going on, the worker ends\n"
    wait_for(lambda: not alive(status["pid"]))
    assert idle_worker.run("status").returncode == attach.NOT_THERE


def test_start_refuses_to_replace_a_worker_with_a_running_sample(worker):
    peer = worker.load(point(process(script="import time; time.sleep(60)"), stop=SIGNAL))
    peer.walk("ready", "running")
    said = worker.run("start")
    assert said.returncode == 1
    assert b"is in the middle of run run" in said.stderr
    peer.walk("done")


def test_start_replaces_an_idle_worker_of_another_version(worker):
    said = worker.run("start", "--idle-exit", "20")
    assert said.stdout.startswith(b"started (pid "), said.stderr
    assert worker.daemon.wait(5) == 0
    assert worker.run("stop", "--worker").returncode == 0
    wait_for(lambda: not worker.socket.exists())


def test_a_start_that_fails_says_why(idle_worker):
    idle_worker.runtime.mkdir(mode=0o777)
    idle_worker.runtime.chmod(0o777)
    said = idle_worker.run("start")
    assert said.returncode == 1
    assert said.stderr.decode().startswith(f"worker: others can write to {idle_worker.runtime}")


def test_a_person_sees_what_goes_on_stops_it_reads_it_and_forgets_it(worker):
    peer = worker.load(point(process(script="import time; time.sleep(60)"), stop=SIGNAL))
    peer.walk("ready", "running")
    said = worker.run("status").stdout.decode().splitlines()
    assert said[1].startswith("run run: sample 0 is running (reached), since ")
    assert re.fullmatch(r"client \(pid \d+\) runs", said[2])
    assert re.fullmatch(r"its lease ends in \d\d s", said[3])
    assert said[4] == "coordinator tester is attached"
    told = json.loads(worker.run("status", "--json").stdout)
    assert alive(told["processes"][0]["pid"])
    assert 0 < told["lease_left_s"] <= 60
    assert b"is going on here" in worker.run("forget", "run").stderr
    assert worker.run("stop").stdout == b"the sample was ended\n"
    assert peer.report("aborted")["reason"] == "stopped on the host by a person"
    peer.report("ended")
    assert "sample 0 is running (reached)" in worker.run("journal", "run").stdout.decode()
    records = [json.loads(line) for line in worker.run("journal", "run", "--json").stdout.splitlines()]
    assert records[0]["event"] == "open"
    peer.close()
    wait_for(lambda: worker.run("forget", "run").returncode == 0)
    assert list((worker.state / "runs").iterdir()) == list((worker.state / "plans").iterdir()) == []
    assert worker.run("journal", "run").returncode == 1
    assert json.loads(worker.run("status", "--json").stdout)["run_id"] is None


def test_version_names_what_a_plan_needs(idle_worker):
    argv = [sys.executable, "-c", LAUNCHER, "version", "--json"]
    said = json.loads(subprocess.run(argv, capture_output=True, check=True).stdout)
    assert set(said) == {"version", "protocol", "archive_sha256", "python", "archive", "executable"}
    assert (said["protocol"], said["executable"]) == (1, sys.executable)


def test_wrong_usage_is_explained(idle_worker):
    said = idle_worker.run("attach", "--instanze", "x")
    assert (said.returncode, b"usage: worker" in said.stderr) == (2, True)


@pytest.mark.parametrize("instance", ["", "../x", "a/b", ".hidden", "a b", "x" * 101])
def test_an_instance_has_a_plain_name(instance):
    with pytest.raises(StorageError, match="no name for an instance"):
        place.folders(instance, None, None)


def test_a_runtime_directory_must_leave_room_for_the_socket():
    with pytest.raises(StorageError, match="too long for a socket"):
        place.folders("default", None, "/tmp/" + "x" * 100)


@pytest.mark.skipif(os.getuid() != 0, reason="needs root, to give it up")
def test_root_takes_on_the_rights_of_the_state_directorys_owner(idle_worker, short_path):
    short_path.chmod(0o755)
    for folder in (idle_worker.state, idle_worker.runtime):
        folder.mkdir(mode=0o700)
        os.chown(folder, 65534, 65534)
    said = idle_worker.run("accept-plan", given=document())
    assert said.returncode == 0, said.stderr
    (stored,) = (idle_worker.state / "plans").iterdir()
    assert stored.stat().st_uid == 65534


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b'{"refused": "no\\u001b[2J\\nworker default (pid 1)"}\n', "worker: no worker default (pid 1)"),
        (b"[" * 5000 + b"\n", "worker: what answers is no worker: "),
        (b"[]\n", "worker: what answers is no worker: b'[]"),
        (b"x" * (2 << 20), "worker: the worker says more than it can have to say."),
    ],
    ids=["escapes", "nested", "list", "endless"],
)
def test_who_sits_in_the_workers_place_steers_no_terminal(tmp_path, capsys, answer, said):
    """A process of the worker's user may listen at its socket, and root asks."""
    (tmp_path / "run").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "run" / "worker.sock"))
        server.listen()

        def serve():
            peer = server.accept()[0]
            with peer, contextlib.suppress(OSError):
                peer.recv(65536)
                peer.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        places = [f"--state-dir={tmp_path}/state", f"--runtime-dir={tmp_path}/run"]
        assert commandline.main(["status", *places]) != 0
        thread.join(10)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(said)
    assert shown.err.count("\n") == 1
    assert shown.err[:-1].isprintable()


def test_what_status_shows_steers_no_terminal():
    odd = "\x1b[2Jx\nidle"
    names = ("instance", "version", "run_id", "state", "phase", "coordinator", "reason")
    shown = texts.status({**dict.fromkeys(names, odd), "pid": 1, "sample": 0, "since_s": 1.0})
    assert shown.count("\n") == 3
    assert "\x1b" not in shown


def test_the_journal_never_puts_escapes_on_a_terminal():
    line = texts.record({"event": "problem", "wall_ns": 0, "text": "\x1b[2Jcleared\r\nby a\x07 stranger\u202e\x9b1m"})
    assert line == "00:00:00.000000  problem  text=cleared by a stranger1m"
