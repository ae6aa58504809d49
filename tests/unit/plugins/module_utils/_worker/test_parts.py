# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker's small parts, without a worker: what they make of good, bad and hostile input."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import socket
import time
import tracemalloc

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import messages
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol.machine import Status
from ansible_collections.netbench.orchestrator.plugins.module_utils._worker import (
    descendants,
    ethtool,
    history,
    journal,
    linux,
    members,
    ports,
    process,
    run,
    sampler,
    seal,
    sockdiag,
    storage,
)
from ansible_collections.netbench.orchestrator.plugins.module_utils._worker.errors import StorageError
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
EVENTS = st.sampled_from(["open", "status", "held", "exited", "report", "prepare", "undo", "finish", "other"])
KEYS = st.sampled_from(
    ["sample", "attempt", "state", "phase", "reason", "exited", "processes", "process", "kind", "number", "begun"]
)


# The journal and what is read from it


def test_a_journal_gives_back_what_was_written(tmp_path):
    book = journal.Journal(tmp_path / "run" / "journal.jsonl")
    book.write("open", sync=True, boot_id="b", text="a\nb\u2028\U0001f600")
    book.write("status", sample=1)
    book.close()
    first, second = journal.read(tmp_path / "run" / "journal.jsonl")
    assert (first["event"], first["text"], second["sample"]) == ("open", "a\nb\u2028\U0001f600", 1)
    assert first["mono_ns"] <= second["mono_ns"]


@given(cut=st.integers(min_value=0, max_value=400))
def test_a_journal_cut_anywhere_keeps_its_whole_records_and_goes_on(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    book = journal.Journal(path)
    for number in range(4):
        book.write("status", sample=number)
    book.close()
    whole = path.read_bytes()
    path.write_bytes(whole[:cut])
    book = journal.Journal(path)
    book.write("open", boot_id="next")
    book.close()
    *kept, last = journal.read(path)
    assert [record["sample"] for record in kept] == list(range(len(kept)))
    assert len(kept) >= whole[:cut].count(b"\n")
    assert last["boot_id"] == "next"


def test_a_small_journal_takes_little_memory(tmp_path):
    (tmp_path / "journal.jsonl").write_bytes(b'{"event": "finish"}\n')
    tracemalloc.start()
    try:
        assert journal.read(tmp_path / "journal.jsonl") == [{"event": "finish"}]
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_journal_is_read_one_record_after_the_other(tmp_path):
    """However long it is; and a line that is over-long hides nothing that looks like a record."""
    forged = b'{"event": "forged"}\n'
    over_long = b"x" * journal.LINE_LIMIT_BYTES + forged
    (tmp_path / "journal.jsonl").write_bytes(over_long + b'{"event": "finish"}\n' * 20_000 + over_long)
    tracemalloc.start()
    try:
        assert {record["event"] for record in journal.records(tmp_path / "journal.jsonl")} == {"finish"}
        assert tracemalloc.get_traced_memory()[1] < 5 << 20
    finally:
        tracemalloc.stop()


def test_a_number_beyond_all_numbers_is_passed_over():
    assert history.of([{"event": "prepare", "begun": True, "number": float("inf")}]) == history.History()


@given(
    st.lists(st.dictionaries(KEYS, JSON, max_size=6).flatmap(lambda rest: EVENTS.map(lambda e: {**rest, "event": e})))
)
def test_history_makes_no_fuss_of_any_record(records):
    known = history.of(records)
    assert isinstance(known.status.sample, int)
    assert len(known.reports) <= history.REPORTS_LIMIT
    for report in known.reports:
        assert messages.REPORT_BODY(report, ())


def test_history_is_that_of_the_latest_sample():
    def status(sample, state):
        return {
            "event": "status",
            "sample": sample,
            "attempt": 1,
            "state": state,
            "phase": "x",
            "reason": None,
            "exited": False,
        }

    held = {"event": "held", "processes": [{"name": "c", "pid": 7, "start_ticks": 8}]}
    exited = {"event": "exited", "process": "c", "exit_status": 3, "signal": None, "start_ns": 1, "stop_ns": 2}
    report = {"event": "report", "kind": "reached", "sample": 0, "attempt": 1, "state": "ready", "reason": None}
    opened = {"event": "open", "boot_id": "b", "plan_sha256": "0" * 64}
    prepared = [{"event": "prepare", "number": number, "begun": True} for number in (0, 1)]
    one = [
        opened,
        status(0, "ready"),
        held,
        *prepared,
        {"event": "undo", "number": 1},
        report,
        exited,
        status(0, "done"),
    ]
    known = history.of(one)
    assert known.status == Status(0, 1, "done", "x")
    assert (known.to_undo, known.boot_id, len(known.reports)) == ((0,), "b", 1)
    assert known.processes == (
        {"name": "c", "pid": 7, "start_ticks": 8, "exit_status": 3, "signal": None, "start_ns": 1, "stop_ns": 2},
    )
    after = history.of([*one, status(1, "ready")])
    assert (after.status.sample, after.processes, after.reports, after.to_undo) == (1, (), (), ())


# Reports


def test_facts_are_made_to_fit_a_frame():
    told = {"name": "c" * 99, "pid": 1, "stderr_tail": "\u4e2d" * 2000}
    facts = run.fit({"processes": [told] * 1000, "folder": "0000"})
    assert len(json.dumps(facts)) < 33_000
    assert facts["folder"] == "0000"
    few = run.fit({"processes": [told] * 2, "folder": "0000"})
    assert few["processes"][0]["stderr_tail"] == "\u4e2d" * 2000


@given(st.text(max_size=200) | st.text(alphabet="\x1b[]0;mK\x07\x9b\r\n\t ab\u202e", max_size=60))
def test_nothing_printable_holds_a_control_character(text):
    clean = members.printable(text)
    assert all(letter in "\n\t" or letter.isprintable() for letter in clean)


def test_a_tail_is_the_end_without_secrets(tmp_path):
    (tmp_path / "x").write_bytes(b"start" + b"y" * 9000 + b"\n\xff token s3cret \x1b[1mend\x1b[0m\n")
    tail = members.tail(tmp_path / "x", ["s3cret", ""])
    assert tail.endswith("y\n\ufffd token *** end")
    assert len(tail) <= members.TAIL_BYTES
    assert members.tail(tmp_path / "missing") == ""


# Ports


def test_a_listener_is_found_with_its_owner_and_its_address():
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
    ):
        datagrams.bind(("127.0.0.1", 0))
        tcp = {"port": server.getsockname()[1], "protocol": "tcp", "address": "127.0.0.1"}
        udp = {"port": datagrams.getsockname()[1], "protocol": "udp", "address": None}
        (found,) = ports.serving(tcp, ports.listeners("tcp"))
        assert found.inode in ports.inodes_of([os.getpid()])
        assert ports.owner(found.inode) == f"{linux.process_name(os.getpid())} (pid {os.getpid()})"
        assert ports.serving({**tcp, "address": "127.0.0.2"}, ports.listeners("tcp")) == []
        assert ports.serving({**tcp, "address": "0.0.0.0"}, ports.listeners("tcp")) == [found]
        (found,) = ports.serving(udp, ports.listeners("udp"))
        assert found.address == "127.0.0.1"


@pytest.mark.parametrize(
    ("bound", "wanted", "covers"),
    [
        ("0.0.0.0", "192.0.2.1", True), ("0.0.0.0", "2001:db8::1", False), ("::", "192.0.2.1", True),
        ("::", "2001:db8::1", True), ("2001:db8::1", "[2001:db8:0::1]", True), ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False), ("fe80::1", "fe80::1%eth0", True), ("127.0.0.1", "localhost", True),
    ],
)  # fmt: skip
def test_a_bound_address_takes_what_is_meant_for_it(bound, wanted, covers):
    listener = ports.Listener("tcp", bound, 80, "1")
    assert (ports.serving({"port": 80, "protocol": "tcp", "address": wanted}, [listener]) == [listener]) is covers


def test_addresses_of_proc_net_are_read(monkeypatch):
    table = (
        "  sl\n   0: 00000000000000000000000001000000:1151 0:0 0A 0 0 0 0 0 4711 1\n"
        "   1: 0100007F:0050 0:0 01 0 0 0 0 0 5 1\n"
    )
    monkeypatch.setattr(linux, "read_text", lambda path: table if path.endswith("tcp6") else "")
    assert ports.listeners("tcp") == [ports.Listener("tcp", "::1", 4433, "4711")]


# Counters


def test_the_segments_of_a_connection_are_counted():
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, _address = server.accept()
        with accepted:
            here, there = client.getsockname(), client.getpeername()
            connection = sockdiag.from_ssh(f"{there[0]} {there[1]} {here[0]} {here[1]}")
            assert connection is not None
            before = sockdiag.segments(connection)
            for _number in range(10):
                client.send(b"x")
                accepted.recv(1)
                accepted.send(b"y")
                client.recv(1)
            assert before is not None
            assert 20 <= sockdiag.segments(connection) - before <= 40
            time.sleep(0.05)
            quiet = sockdiag.segments(connection)
            assert sockdiag.segments(connection) == quiet
            assert ports.connections(ports.inodes_of([os.getpid()])).count(connection) == 1
            client.close()  # first, so that what is left of it waits at that end
            assert sockdiag.segments(connection) != 0, "the other end has not closed it"
    assert sockdiag.segments(connection) == 0
    assert sockdiag.segments(sockdiag.Connection(socket.AF_INET, connection.remote, connection.local)) == 0
    other = sockdiag.Connection(socket.AF_INET, ("127.0.0.1", 1), ("127.0.0.1", 2))
    assert sockdiag.segments(other) == 0


def test_a_kernel_that_does_not_tell_is_not_taken_for_silence(monkeypatch):
    def refuse(*_arguments):
        raise PermissionError

    monkeypatch.setattr(sockdiag.socket, "socket", refuse)
    assert sockdiag.segments(sockdiag.Connection(socket.AF_INET, ("127.0.0.1", 1), ("127.0.0.1", 2))) is None


@pytest.mark.parametrize("variable", ["", "nonsense", "a b c d", "1.2.3.4 5 6.7.8.9 x", "1.2.3.4 5 ::1 22"])
def test_what_is_no_ssh_connection_is_none(variable):
    assert sockdiag.from_ssh(variable) is None


def test_an_ipv6_connection_with_a_zone_is_understood():
    connection = sockdiag.from_ssh("fe80::2%eth0 50000 fe80::1%eth0 22")
    assert connection == sockdiag.Connection(socket.AF_INET6, ("fe80::1", 22), ("fe80::2", 50000))


def test_counters_of_a_host_without_the_interface_are_left_out():
    counters = sampler.Counters("nosuch0", lambda: None)
    row = counters.row()
    counters.close()
    assert not {"rx_bytes", "tx_bytes", "control_packets", "ena"} & set(row)
    assert {"softirq_s", "steal_s", "tcp_retransmits"} <= set(row)


def test_an_adapter_without_allowances_has_none():
    for interface in ("lo", "nosuch0", sampler.default_interface() or "lo"):
        allowances = ethtool.Allowances(interface)
        assert allowances.read() == {}
        allowances.close()


# Folders and seals


def test_a_seal_follows_no_link_and_leaves_out_inputs(tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / "file").write_bytes(b"1")
    (tmp_path / "a b.txt").write_bytes(b"3")
    for name in (b"two\nlines", b"\xff", b"turned\xe2\x80\xae"):
        (tmp_path / os.fsdecode(name)).write_bytes(b"4")
    (tmp_path / "input").write_bytes(b"2")
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "folder").symlink_to("/etc")
    os.mkfifo(tmp_path / "fifo")
    sealed = asyncio.run(seal.seal(tmp_path, inputs=["input"]))
    document = json.loads((tmp_path / "seal.json").read_bytes())
    assert [entry["path"] for entry in document["files"]] == ["a b.txt", "deep/er/file"]
    unprintable = ["'turned\\u202e'", "'two\\nlines'", "'\\udcff'"]
    assert document["left_out"] == ["fifo", "folder", "link", *unprintable]
    assert seal.read(tmp_path) == sealed


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"{}", b'{"schema": 2, "files": []}', b"[" * 100_000,
        *(b'{"schema": 1, "files": [{"size": %b}]}' % size for size in (b'"5"', b"[5]", b"1e999", b"null", b"true")),
    ],
)  # fmt: skip
def test_what_is_no_seal_seals_nothing(tmp_path, content):
    (tmp_path / "seal.json").write_bytes(content)
    assert seal.read(tmp_path) is None


@pytest.mark.parametrize("path", ["../x", "/etc/passwd", "a//b", "./a", "", "link", "folder/passwd"])
def test_nothing_outside_a_folder_is_opened(tmp_path, path):
    (tmp_path / "link").symlink_to("/etc/passwd")
    (tmp_path / "folder").symlink_to("/etc")
    with pytest.raises((StorageError, OSError)):
        os.close(seal.open_below(tmp_path, path))


def test_a_folder_that_is_not_private_is_refused(tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(StorageError, match="others can write"):
        storage.check_private(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(StorageError, match="not a directory"):
        storage.check_private(tmp_path / "link")


def test_an_output_is_cut_and_what_is_not_an_output_is_not_touched(tmp_path):
    (tmp_path / "out").write_bytes(b"x" * 100)
    assert process.cut(tmp_path / "out", 10, mark=True)
    assert (tmp_path / "out").read_bytes().startswith(b"x" * 10 + b"\n[netbench worker: cut here")
    (tmp_path / "link").symlink_to("out")
    os.mkfifo(tmp_path / "fifo")
    for name in ("link", "fifo", "missing"):
        assert not process.cut(tmp_path / name, 1)


# Gates and descendants


def gate(tmp_path, **fields):
    program = {
        "name": "x", "path": "/bin/true", "command": ["true"], "environment": {}, "folder": tmp_path, "stdout": "out",
        "stderr": "err",
    }  # fmt: skip
    return process.hold(process.Program(**{**program, **fields}))


def said(held):
    """Wait for the end of what a gate's child says, and for its end."""
    os.set_blocking(held.answer, True)
    held.listen()
    status = os.waitpid(held.pid, 0)[1]
    held.close()
    return os.waitstatus_to_exitcode(status)


def test_a_gate_starts_its_program_at_the_instant(tmp_path):
    held = gate(tmp_path)
    at_ns = time.monotonic_ns() + 30_000_000
    held.release(at_ns)
    assert said(held) == 0
    assert held.executed
    assert 0 <= held.start_ns - at_ns < 20_000_000


def test_a_gate_says_why_it_cannot(tmp_path):
    held = gate(tmp_path, path="/no/such/program")
    held.release(0)
    assert said(held) == 127
    assert (held.executed, held.problem) == (False, "No such file or directory")
    held = gate(tmp_path, folder=tmp_path / "missing")
    assert said(held) == 127
    assert (held.held, held.problem) == (False, "No such file or directory")


def test_what_a_gate_says_before_the_instant_is_not_taken_for_one(tmp_path, monkeypatch):
    def refuse(seconds):
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(process.time, "sleep", refuse)
    held = gate(tmp_path)
    held.release(time.monotonic_ns() + 10**9)
    assert said(held) == 127
    assert (held.executed, held.start_ns, held.problem) == (False, None, "Invalid argument")


def test_a_gate_that_is_let_go_starts_nothing(tmp_path):
    held = gate(tmp_path, path="/bin/sh", command=["sh", "-c", "touch ran"])
    held.close = lambda: None
    os.close(held._gate)
    assert os.waitstatus_to_exitcode(os.waitpid(held.pid, 0)[1]) == 127
    os.close(held.answer)
    assert not (tmp_path / "ran").exists()


def test_descendants_are_found_with_and_without_the_kernels_lists(tmp_path, monkeypatch):
    held = gate(tmp_path, path="/bin/sh", command=["sh", "-c", "sleep 60 & wait"])
    held.release(0)
    while len(descendants.all_of(held.pid)) != 1:
        time.sleep(0.01)
    by_list = descendants.all_of(held.pid)
    monkeypatch.setattr(descendants, "_HAS_CHILDREN_LISTS", False)
    assert descendants.all_of(held.pid) == by_list
    descendants.signal_all([held.pid, *by_list], 9)
    assert said(held) == -9
