# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may talk to a worker, and what it makes of nonsense, silence and two coordinators."""

from __future__ import annotations

import os
import socket
import time

import pytest

from .driving import AT_T0, SIGNAL, Peer, pid_in, point, process, wait_for

SLEEP = "import os, time; open('pid', 'w').write(f'{os.getpid()}\\n'); time.sleep(60)"


@pytest.fixture
def worker(lent_worker):
    return lent_worker


def running(worker, **fields):
    """A coordinator whose sample is running."""
    peer = worker.load(point(process(script=SLEEP), stop=SIGNAL), **fields)
    peer.walk("ready", "running")
    return peer


def test_hello_says_what_the_host_is_and_where_the_worker_is(idle_worker):
    reply = idle_worker.start().peer().hello("run")
    assert {"worker_version", "python", "os", "kernel", "machine", "cpus", "boot_id", "hostname"} <= set(reply["host"])
    assert isinstance(reply["host"]["clock"]["synchronized"], bool)
    assert reply["host"]["clock"]["max_error_us"] >= 0
    assert (reply["status"]["run_id"], reply["status"]["state"], reply["reports"]) == (None, "idle", [])


def test_every_exchange_is_a_clock_sample(worker):
    peer = worker.peer()
    peer.hello(worker.run_id)
    for _look in range(20):
        before_ns = time.monotonic_ns()
        reply = peer.ask("clock")
        assert before_ns < reply["received_ns"] < reply["sent_ns"] < time.monotonic_ns()
        assert abs(reply["wall_ns"] - time.time_ns()) < 1_000_000_000


def test_another_protocol_is_refused_in_words(worker):
    reply = worker.peer().ask("hello", protocol=99, coordinator="x", run_id=worker.run_id)
    assert "speaks protocol 1, the coordinator 99" in reply["refused"]


@pytest.mark.parametrize(
    "nonsense",
    [b"GET / HTTP/1.1\r\n\r\n", b"\xff\xfe\n", b"[]\n", b"{}\n", b'{"type":"run","command":"id"}\n', b"x" * 70000,
     b'{"type":"hello","id":1,"protocol":1,"coordinator":"../x","run_id":"r"}\n', b'{"type":"clock","id":1}\n'],
)  # fmt: skip
def test_nonsense_closes_its_connection_and_nothing_else(worker, nonsense):
    peer = running(worker)
    stranger = worker.peer()
    stranger.socket.sendall(nonsense)
    assert stranger.receive() is None
    assert peer.ask("clock")["wall_ns"]
    peer.walk("done")


def test_a_coordinator_that_talks_nonsense_loses_its_connection_but_not_its_run(worker):
    peer = running(worker)
    peer.socket.sendall(b"{nonsense\n")
    assert peer.receive() is None
    again = worker.peer()
    assert again.hello(worker.run_id)["status"]["state"] == "running"
    again.walk("done")


def test_frames_may_come_in_pieces_or_together(worker):
    peer = worker.peer()
    whole = b'{"type":"hello","id":1,"protocol":1,"coordinator":"c","run_id":"r"}\n' + b'{"type":"clock","id":2}\n' * 3
    for byte in range(len(whole)):
        peer.socket.sendall(whole[byte : byte + 1])
    assert [peer.receive()["id"] for _frame in range(4)] == [1, 2, 2, 2]


def test_reports_made_while_nobody_is_attached_are_in_the_next_hello(worker):
    peer = worker.load(point(process(script="import time; time.sleep(.2)"), launch=AT_T0))
    peer.walk("ready")
    peer.enter("running", at_ns=time.monotonic_ns() + 50_000_000)
    peer.report("armed")
    peer.close()
    wait_for((worker.folder() / "seal.json").exists)
    reply = worker.peer().hello(worker.run_id)
    assert [report["kind"] for report in reply["reports"]] == ["reached", "armed", "reached"]
    assert reply["reports"][-1]["facts"]["processes"][0]["exit_status"] == 0
    assert (reply["status"]["state"], reply["status"]["phase"]) == ("done", "reached")


def test_a_second_coordinator_is_refused_with_the_holder_and_may_take_over(worker):
    peer = running(worker)
    pid = pid_in(worker.folder() / "pid")
    mine, others = worker.run_id, f"{worker.run_id}-other"
    other = worker.peer()
    refused = other.hello(others, coordinator="second")
    assert f"run {mine} has this worker, and its coordinator tester is attached" in refused["refused"]
    assert refused["status"]["run_id"] == mine
    peer.close()
    wait_for(
        lambda: (
            f"sample 0 of run {mine} is running here, for tester"
            in other.hello(others, coordinator="second")["refused"]
        )
    )
    assert other.hello(others, coordinator="second", takeover=True)["refused"] is None
    assert not os.path.exists(f"/proc/{pid}")
    assert any(record.get("reason") == f"coordinator second took over with run {others}" for record in worker.journal())
    sha256 = worker.accept(point(process()), run_id=others)
    assert other.ask("load", run_id=others, plan_sha256=sha256, lease_s=9)["refused"] is None
    other.walk("ready", "running")


def test_take_over_of_an_attached_coordinator_closes_its_connection(worker):
    peer = running(worker)
    assert worker.peer().hello(f"{worker.run_id}-other", takeover=True)["refused"] is None
    kinds = []
    while message := peer.receive():
        kinds.append(message["kind"])
    assert kinds == []


def test_an_idle_run_of_somebody_who_left_is_in_nobodys_way(worker):
    peer = worker.load(point(process()))
    peer.walk("ready", "running")
    peer.report("reached", "done")
    peer.close()
    wait_for(lambda: worker.peer().hello(f"{worker.run_id}-other")["refused"] is None)


def test_what_is_being_cleared_away_is_waited_for(worker):
    slow = {"command": ["/bin/true"], "undo": ["/bin/sleep", "0.7"]}
    peer = worker.load(point(process(), stop=SIGNAL, prepare=[slow]))
    peer.walk("ready")
    peer.send(type="stop", reason="its coordinator has had enough")
    assert peer.report("aborted")
    peer.close()
    other = worker.peer()
    began_s = time.monotonic()
    wait_for(lambda: other.hello(f"{worker.run_id}-other")["refused"] is None)
    assert time.monotonic() - began_s > 0.3
    assert "ended" in [record.get("phase") for record in worker.journal()]


def test_the_same_run_comes_back_on_another_connection_and_the_old_one_is_closed(worker):
    peer = running(worker)
    again = worker.peer()
    assert again.hello(worker.run_id)["status"]["state"] == "running"
    assert peer.receive() is None
    again.walk("done")


def test_requests_before_hello_and_before_load_close_the_connection(worker):
    stranger = worker.peer()
    stranger.enter("ready")
    assert stranger.receive() is None
    peer = worker.peer()
    peer.hello(worker.run_id)
    peer.enter("ready")
    assert peer.receive() is None


def test_load_refuses_what_does_not_fit(worker):
    sha256 = worker.accept(point(process()))
    others = f"{worker.run_id}-other"
    other = worker.accept(point(process("other")), run_id=others)
    changed = worker.accept(point(process("changed")))
    peer = worker.peer()
    peer.hello(worker.run_id)

    def load(run_id, digest):
        return peer.ask("load", run_id=run_id, plan_sha256=digest, lease_s=9)["refused"]

    assert "it has not been accepted here" in load(worker.run_id, "0" * 64)
    assert "is not the one that this coordinator said hello for" in load(others, other)
    assert f"belongs to run {others}" in load(worker.run_id, other)
    assert load(worker.run_id, sha256) is None
    assert load(worker.run_id, sha256) is None
    assert "is loaded with another plan" in load(worker.run_id, changed)


NEEDS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="needs root, to be somebody else")


@pytest.mark.parametrize("spoil", ["mode", "content", "link", pytest.param("owner", marks=NEEDS_ROOT)])
def test_a_spoiled_plan_is_refused(worker, spoil):
    sha256 = worker.accept(point(process()))
    path = worker.state / "plans" / f"{sha256}.json"
    if spoil == "mode":
        path.chmod(0o666)
    elif spoil == "owner":
        os.chown(path, 65534, 65534)
    elif spoil == "content":
        path.write_bytes(path.read_bytes() + b" ")
    else:
        path.rename(path.with_suffix(".other"))
        path.symlink_to(path.with_suffix(".other"))
    peer = worker.peer()
    peer.hello(worker.run_id)
    assert str(path) in peer.ask("load", run_id=worker.run_id, plan_sha256=sha256, lease_s=9)["refused"]


def test_the_lease_ends_the_processes_and_requests_renew_it(worker):
    peer = running(worker, lease_s=60)
    pid = pid_in(worker.folder() / "pid")
    peer.enter("running", lease_s=0.4)
    peer.report("reached")
    time.sleep(0.25)
    peer.enter("running", lease_s=0.4)
    peer.report("reached")
    began_s = time.monotonic()
    assert peer.report("aborted")["reason"] == "lease ended: nothing was heard from the coordinator for 0.4 s"
    assert 0.3 < time.monotonic() - began_s < 1
    peer.report("ended")
    assert not os.path.exists(f"/proc/{pid}")


def test_finish_needs_an_ended_sample_and_makes_room(worker):
    peer = running(worker)
    assert "sample 0 is still running: stop it first" in peer.ask("finish", run_id=worker.run_id)["refused"]
    peer.walk("done")
    assert peer.ask("finish", run_id=worker.run_id)["refused"] is None
    assert peer.ask("finish", run_id=worker.run_id)["refused"] is None
    assert peer.hello(worker.run_id)["status"]["run_id"] is None


def test_a_peer_that_reads_nothing_is_let_go(worker):
    deaf = worker.peer()
    deaf.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    hello = b'{"type":"hello","id":1,"protocol":1,"coordinator":"c","run_id":"r"}\n'
    with pytest.raises((BrokenPipeError, ConnectionResetError)):
        deaf.socket.sendall(hello * 100_000)
    assert worker.peer().hello(worker.run_id)["host"]


@NEEDS_ROOT
def test_another_user_gets_nothing(idle_worker, short_path):
    worker = idle_worker.start()
    for folder in (short_path, worker.runtime):
        folder.chmod(0o777)
    worker.socket.chmod(0o777)
    child = os.fork()
    if child == 0:
        os.setuid(65534)
        try:
            peer = Peer(worker.socket)
            peer.send(type="local", verb="status")
            os._exit(0 if peer.socket.recv(100) == b"" else 1)
        except ConnectionError:
            os._exit(0)
        except BaseException:
            os._exit(2)
    status = os.waitpid(child, 0)[1]
    assert os.waitstatus_to_exitcode(status) == 0
    wait_for(lambda: "refused a connection of user 65534" in worker.log.read_text())
