# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples walked by a real worker over its socket: what is said, what is written, what is left."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import socket
import tarfile
import time

import pytest

from .driving import AT_T0, SIGNAL, alive, pid_in, point, process

SERVE = "import socket, time; s = socket.create_server(('127.0.0.1', {port})); time.sleep(60)"


@pytest.fixture
def worker(lent_worker):
    return lent_worker


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def listening(port, address="127.0.0.1"):
    rule = {"rule": "listening", "ports": [{"port": port, "address": address}]}
    return {"name": "running", "reached": rule, "deadline_s": 5}


def seal_of(folder):
    return {entry["path"]: entry for entry in json.loads((folder / "seal.json").read_bytes())["files"]}


def test_a_client_is_held_started_at_t0_and_sealed(worker):
    script = "import sys; print(open('input.txt').read()); print('error', file=sys.stderr); open('out', 'w').write('x')"
    sha256 = hashlib.sha256(b"given").hexdigest()
    peer = worker.load(
        point(process(script=script), launch=AT_T0, files={"input.txt": sha256}, outputs=["out"]), inputs=["given"]
    )
    peer.walk("ready")
    assert (worker.folder() / "client.stdout").read_bytes() == b"", "it ran before T0"
    t0_ns = time.monotonic_ns() + 200_000_000
    peer.enter("running", at_ns=t0_ns)
    peer.report("armed", "running")
    done = peer.report("reached", "done")
    (facts,) = done["facts"]["processes"]
    assert 0 <= facts["start_ns"] - t0_ns < 50_000_000
    assert facts["stop_ns"] > facts["start_ns"]
    assert (facts["exit_status"], facts["signal"], facts["stderr_tail"]) == (0, None, "error")
    sealed = seal_of(worker.folder())
    assert sorted(sealed) == ["client.stderr", "client.stdout", "out", "sampler.jsonl"]
    assert sealed["client.stdout"] == {
        "path": "client.stdout",
        "size": 6,
        "sha256": hashlib.sha256(b"given\n").hexdigest(),
    }
    seal = (worker.folder() / "seal.json").read_bytes()
    assert (done["facts"]["seal_sha256"], done["facts"]["folder"]) == (hashlib.sha256(seal).hexdigest(), "0000")


def test_a_server_runs_when_it_listens_and_ends_when_asked(worker, port):
    peer = worker.load(point(process("server", SERVE.format(port=port)), launch=listening(port), stop=SIGNAL))
    peer.walk("ready", "running")
    socket.create_connection(("127.0.0.1", port)).close()
    peer.enter("done")
    done = peer.report("reached", "done")
    assert done["facts"]["processes"][0]["signal"] == "TERM"
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_samples_follow_each_other_and_a_repeated_request_is_answered_again(worker):
    peer = worker.load(point(process()), samples=[0, 0])
    plans = len(list((worker.state / "plans").iterdir()))
    for sample in (0, 1):
        peer.walk("ready", sample=sample)
        peer.enter("ready", sample=sample)
        peer.report("reached", "ready")
        peer.enter("running", sample=sample)
        peer.report("reached", "running")
        first = peer.report("reached", "done")
        peer.enter("done", sample=sample)
        assert peer.report("reached", "done")["facts"] == first["facts"]
    peer.enter("ready", sample=0)
    assert "not started twice" in peer.report("refused")["reason"]
    assert peer.ask("finish", run_id=worker.run_id)["refused"] is None
    assert len(list((worker.state / "plans").iterdir())) == plans - 1, "a plan may hold secrets"


def test_an_instant_that_is_too_near_starts_nothing(worker):
    peer = worker.load(point(process(script="open('ran', 'w')"), launch=AT_T0))
    peer.walk("ready")
    peer.enter("running", at_ns=time.monotonic_ns() + 1_000_000)
    peer.report("late", "running")
    assert not (worker.folder() / "ran").exists()
    peer.enter("running", at_ns=time.monotonic_ns() + 100_000_000)
    peer.report("armed", "running")
    peer.report("reached", "done")
    assert (worker.folder() / "ran").exists()


def test_processes_start_at_their_offsets(worker):
    peer = worker.load(point(process("one"), process("two", offset_s=0.15), launch=AT_T0))
    peer.walk("ready")
    peer.enter("running", at_ns=time.monotonic_ns() + 100_000_000)
    peer.report("armed")
    one, two = peer.report("reached", "done")["facts"]["processes"]
    assert two["start_ns"] - one["start_ns"] == pytest.approx(150_000_000, abs=40_000_000)


def test_rules_line_and_probe_and_more_states(worker):
    script = "import time; time.sleep(.1); print('warm', flush=True); time.sleep(.1); open('up', 'w'); time.sleep(60)"
    warm = {"name": "warm", "reached": {"rule": "line", "file": "client.stdout", "pattern": "^warm"}, "deadline_s": 5}
    probe = {"rule": "probe", "command": ["/bin/sh", "-c", "test -e up"], "period_s": 0.02}
    up = {"name": "up", "reached": probe, "deadline_s": 5}
    peer = worker.load(point(process(script=script), states=[warm, up], stop=SIGNAL))
    peer.walk("ready", "running", "warm", "up", "done")


def test_a_process_of_a_signal_rule_can_end_by_the_clock(worker):
    stop = {"rule": "signal", "after_s": 0.3, "signal": "INT"}
    peer = worker.load(point(process(script="import time; time.sleep(60)"), launch=AT_T0, stop=stop))
    peer.walk("ready")
    peer.enter("running", at_ns=time.monotonic_ns() + 50_000_000)
    peer.report("armed")
    (facts,) = peer.report("reached", "done")["facts"]["processes"]
    assert (facts["stop_ns"] - facts["start_ns"]) / 1e9 == pytest.approx(0.3, abs=0.1)


def test_the_environment_is_exactly_the_planned_one_and_the_process_is_fresh(worker):
    script = (
        "import json, os, signal; print(json.dumps([dict(os.environ), os.getcwd(), os.getsid(0) == os.getpid(),"
        " sorted(os.listdir('/proc/self/fd')), [int(s) for s in signal.valid_signals()"
        " if signal.getsignal(s) == signal.SIG_IGN], len(signal.pthread_sigmask(0, [])),"
        " sorted(os.sched_getaffinity(0))]))"
    )
    planned = process(script=script, environment={"PATH": "/bin", "LC_ALL": "C", "X": "a b\u00e4"}, cpus=[0])
    peer = worker.load(point(planned))
    peer.walk("ready", "running")
    peer.report("reached", "done")
    said = json.loads((worker.folder() / "client.stdout").read_text())
    assert said[0] == {"PATH": "/bin", "LC_ALL": "C", "X": "a b\u00e4"}
    assert said[1:3] == [str(worker.folder()), True]
    assert said[3] == ["0", "1", "2", "3"], "3 is the listing itself"
    ignored_by_python_itself = {13, 25}
    assert set(said[4]) <= ignored_by_python_itself
    assert said[5:] == [0, [0]]


def test_favours_that_a_host_does_not_grant_are_told_and_do_without(worker):
    """A CPU that nobody has; and real-time priority, which depends on who runs this."""
    script = "import os; print(os.sched_getscheduler(0) == os.SCHED_FIFO, len(os.sched_getaffinity(0)))"
    peer = worker.load(point(process(script=script, cpus=[9999], priority=3), process("plain", script)))
    peer.walk("ready", "running")
    favoured, plain = peer.report("reached", "done")["facts"]["processes"]
    real_time, cpus = (worker.folder() / "client.stdout").read_text().split()
    assert int(cpus) == len(os.sched_getaffinity(0))
    refused = [] if real_time == "True" else ["client runs without real-time priority 3: Operation not permitted"]
    assert favoured["notes"] == ["client runs on any CPU, not on 9999: Invalid argument", *refused]
    assert favoured["exit_status"] == 0
    assert plain["notes"] == []
    assert (worker.folder() / "plain.stdout").read_text().startswith("False")


def test_a_clean_process_may_leave_others_behind_and_they_are_ended(worker):
    away = (
        "import os, time\nif os.fork() == 0:\n  os.setsid()\n  if os.fork() == 0:\n"
        "    open('pid', 'w').write(f'{os.getpid()}\\n')\n    time.sleep(60)\n  os._exit(0)\n"
        "while not os.path.exists('pid'): time.sleep(.01)"
    )
    peer = worker.load(point(process(script=away), stop={"rule": "exit", "grace_s": 0.2}))
    peer.walk("ready", "running")
    done = peer.report("reached", "done")
    assert done["facts"]["processes"][0]["exit_status"] == 0
    assert not alive(pid_in(worker.folder() / "pid"))


def test_prepare_commands_run_before_and_are_undone_after_in_reverse(worker):
    def note(word):
        return ["/bin/sh", "-c", f"echo {word} >> notes"]

    steps = [{"command": note(f"do{n}"), "undo": note(f"undo{n}")} for n in (1, 2)]
    peer = worker.load(point(process(script="open('notes', 'a').write('run\\n')"), prepare=steps))
    peer.walk("ready", "running")
    peer.report("reached", "done")
    assert (worker.folder() / "notes").read_text().split() == ["do1", "do2", "run", "undo2", "undo1"]
    assert "notes" in seal_of(worker.folder())


def test_output_is_cut_at_its_limit_and_says_so(worker):
    peer = worker.load(point(process(script="print('x' * 100000)"), output_limit_bytes=1000))
    peer.walk("ready", "running")
    peer.report("reached", "done")
    text = (worker.folder() / "client.stdout").read_text()
    assert text.startswith("x" * 1000 + "\n[netbench worker: cut here, the limit is 1000 bytes]")
    assert len(text) < 1100


def test_the_sampler_writes_rows_on_both_clocks(worker):
    send = "import socket\nown = socket.socket(type=socket.SOCK_DGRAM)\nown.bind(('127.0.0.1', 0))\n"
    send += "for number in range(20): own.sendto(bytes(50000), own.getsockname())\n"
    burn = "import time\nend = time.monotonic() + .7\nwhile time.monotonic() < end: pass"
    peer = worker.load(point(process(script=send + burn), launch=AT_T0, sampler_period_s=0.2))
    peer.walk("ready")
    t0_ns = time.monotonic_ns() + 50_000_000
    peer.enter("running", at_ns=t0_ns)
    peer.report("armed")
    done = peer.report("reached", "done")
    rows = [json.loads(line) for line in (worker.folder() / "sampler.jsonl").read_text().splitlines()]
    assert rows[0]["mono_ns"] < t0_ns
    late_s = [(row["mono_ns"] - t0_ns) / 1e9 - 0.2 * tick for tick, row in enumerate(rows[1:4], start=1)]
    assert all(-0.005 < late < 0.15 for late in late_s), late_s  # a busy machine is late, and never early
    assert rows[-1]["cpu_s"] > 0.05
    assert [row["cpu_s"] for row in rows] == sorted(row["cpu_s"] for row in rows)
    assert max(row["rss_bytes"] for row in rows) > 1_000_000
    assert {"wall_ns", "rx_bytes", "tx_dropped", "tcp_retransmits", "softirq_s", "steal_s"} <= set(rows[0])
    assert done["facts"]["rx_bytes"] > 1_000_000
    in_rows_bytes = rows[-1]["rx_bytes"] - rows[0]["rx_bytes"]
    assert abs(done["facts"]["rx_bytes"] - in_rows_bytes) < 200_000  # read apart, and others use the loopback too
    wall_ns = rows[1]["mono_ns"] + done["facts"]["wall_minus_mono_ns"]
    assert abs(wall_ns - rows[1]["wall_ns"]) < 20_000_000


def test_packets_of_the_control_connection_are_counted_from_start_to_stop(worker):
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, _address = server.accept()
        with accepted:
            name = "{} {} {} {}".format(*client.getsockname(), *client.getpeername())
            peer = worker.peer()
            peer.send(type="attach", ssh_connection=name)
            sleep = point(process(script="import time; time.sleep(.4)"), launch=AT_T0, sampler_period_s=0.1)
            sha256 = worker.accept(sleep, samples=[0, 0])
            peer.hello(worker.run_id)
            peer.ask("load", run_id=worker.run_id, plan_sha256=sha256, lease_s=60)
            for sample, packets in ((0, 0), (1, 2)):
                client.send(b"before the window")
                peer.walk("ready", sample=sample)
                t0_ns = time.monotonic_ns() + 100_000_000
                peer.enter("running", sample=sample, at_ns=t0_ns)
                peer.report("armed")
                time.sleep(0.2)
                if packets:
                    client.send(b"in the window")  # and its acknowledgement
                done = peer.report("reached", "done")
                client.send(b"after the window")
                assert done["facts"]["control_packets"] == packets
    rows = [json.loads(line) for line in (worker.folder("0001") / "sampler.jsonl").read_text().splitlines()]
    assert rows[-1]["control_packets"] - rows[0]["control_packets"] == 2


def test_of_a_server_that_is_told_to_end_the_packets_between_are_counted(worker):
    """What starts and ends it crosses the same connection, and is not what disturbs a window."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, _address = server.accept()
        with accepted:
            peer = worker.peer()
            peer.send(type="attach", ssh_connection="{} {} {} {}".format(*client.getsockname(), *client.getpeername()))
            server_like = point(
                process(script="import time; time.sleep(9)"), stop={"rule": "signal"}, sampler_period_s=0.1
            )
            sha256 = worker.accept(server_like, samples=[0, 0, 0])
            peer.hello(worker.run_id)
            peer.ask("load", run_id=worker.run_id, plan_sha256=sha256, lease_s=60)
            for sample, (window_s, packets) in enumerate(((0.6, 0), (0.6, 2), (0.0, None))):
                peer.walk("ready", "running", sample=sample)
                client.send(b"the report, and its acknowledgement")
                if packets:
                    time.sleep(0.35)
                    client.send(b"in the window")
                time.sleep(window_s)
                client.send(b"the word to end")
                peer.enter("done", sample=sample)
                assert peer.report("reached", "done")["facts"]["control_packets"] == packets


@contextlib.contextmanager
def attached(worker, server):
    """A coordinator whose channel is carried by a TCP connection, both of which end with the block."""
    with socket.create_connection(server.getsockname()) as client, server.accept()[0] as _carried:
        peer = worker.peer()
        peer.send(type="attach", ssh_connection="{} {} {} {}".format(*client.getsockname(), *client.getpeername()))
        peer.hello(worker.run_id)
        peer.carrier = client
        yield peer
        peer.close()


def test_a_coordinator_that_lets_go_before_the_window_leaves_no_packet_in_it(worker):
    """Clients and servers; and one that comes back too early is counted by the clients, to the last packet."""
    lasting = point(process(script="import time; time.sleep(.5)"), launch=AT_T0, sampler_period_s=0.1)
    told = point(process(script="import time; time.sleep(9)"), stop={"rule": "signal"}, sampler_period_s=0.1)
    sha256 = worker.accept(lasting, told, samples=[0, 1, 0])
    with socket.create_server(("127.0.0.1", 0)) as server:
        with attached(worker, server) as peer:
            peer.ask("load", run_id=worker.run_id, plan_sha256=sha256, lease_s=60)
            peer.walk("ready", sample=0)
            peer.enter("running", sample=0, at_ns=time.monotonic_ns() + 100_000_000)
            peer.report("armed")
        time.sleep(0.9)
        with attached(worker, server) as peer:
            peer.carrier.send(b"hello, after the window")
            assert last_facts(peer, worker)["control_packets"] == 0
            peer.walk("ready", "running", sample=1)
        time.sleep(0.6)
        with attached(worker, server) as peer:
            peer.carrier.send(b"hello, after the window of others")
            time.sleep(0.2)
            peer.enter("done", sample=1)
            assert peer.report("reached", "done")["facts"]["control_packets"] == 0
            peer.walk("ready", sample=2)
            peer.enter("running", sample=2, at_ns=time.monotonic_ns() + 100_000_000)
            peer.report("armed")
        time.sleep(0.3)
        with attached(worker, server) as peer:
            peer.carrier.send(b"in the window")
            assert peer.report("reached", "done")["facts"]["control_packets"] >= 2


def last_facts(peer, worker):
    reports = peer.hello(worker.run_id)["reports"]
    return reports[-1]["facts"]


def test_export_holds_what_is_sealed_and_the_journal(worker):
    peer = worker.load(
        point(process(script="import os; os.symlink('/etc/passwd', 'link'); open('out', 'w').write('1')"))
    )
    peer.walk("ready", "running")
    peer.report("reached", "done")
    exported = worker.run("export", worker.run_id)
    assert exported.returncode == 0, exported.stderr
    with tarfile.open(fileobj=io.BytesIO(exported.stdout)) as archive:
        names = archive.getnames()
        assert all(member.isreg() for member in archive)
    assert names[0] == "journal.jsonl"
    assert "samples/0000/out" in names
    assert "samples/0000/seal.json" in names
    assert "samples/0000/link" not in names
    assert json.loads((worker.folder() / "seal.json").read_bytes())["left_out"] == ["link"]
    assert worker.run("export", "other").returncode == 1
    assert worker.run("export", "../run").returncode == 1
