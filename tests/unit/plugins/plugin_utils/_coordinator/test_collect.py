# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host delivers is taken when it is what an honest worker sends, whole; otherwise nothing of it."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import tarfile
import time
import tracemalloc

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator import collect
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.endpoint import Endpoint
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.folder import ResultFolder
from hypothesis import given
from hypothesis import strategies as st

FILES = {"client.stdout": b"said\n", "statistics.jsonl": b'{"kind": "end"}\n'}


def sealed(files):
    """The same files and their seal."""
    listed = [{"path": k, "size": len(v), "sha256": hashlib.sha256(v).hexdigest()} for k, v in files.items()]
    return {**files, "seal.json": json.dumps({"schema": 1, "files": listed}).encode()}


def stream(entries, form=tarfile.GNU_FORMAT):
    """A tar of (name or TarInfo, content)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=form) as archive:
        for name, content in entries:
            member = tarfile.TarInfo(name) if isinstance(name, str) else name
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return data.getvalue()


def special(name, kind, target=""):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def delivery(files=None, *, folder="samples/0000"):
    return [
        ("journal.jsonl", b'{"event": "run"}\n'),
        *((f"{folder}/{k}", v) for k, v in (files or sealed(FILES)).items()),
    ]


def unpack(folder, data):
    return collect.unpack(io.BytesIO(data), "host1", folder)


def below(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


@pytest.fixture
def folder(tmp_path):
    """The result folder, with a neighbour that must stay as it is."""
    (tmp_path / "secret").write_text("before")
    run = tmp_path / "run"
    run.mkdir()
    yield run
    assert (tmp_path / "secret").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run", "secret"]
    assert not list(run.glob(".incoming-*"))


def test_an_honest_delivery_is_taken_and_a_later_one_replaces_it(folder):
    taken = unpack(folder, stream(delivery()))
    assert (taken.problem, taken.folders, taken.files) == (None, ("0000",), 4)
    assert (folder / "hosts/host1/0000/client.stdout").read_bytes() == b"said\n"
    assert (folder / "journal/host1.jsonl").read_bytes() == b'{"event": "run"}\n'
    assert unpack(folder, stream(delivery(sealed({"other": b"1"})))).problem is None
    assert below(folder / "hosts") == ["host1/0000/other", "host1/0000/seal.json"]


@pytest.mark.parametrize("host", ["größe", "a/b", "../x", "..", "x" * 300, "[2001:db8::1]"])
def test_the_report_finds_it_whatever_the_host_is_called(folder, host):
    assert collect.unpack(io.BytesIO(stream(delivery())), host, folder).problem is None
    found = ResultFolder(folder)
    assert (found.outputs(host, "0000") / "client.stdout").read_bytes() == b"said\n"
    assert found.journal(host).exists()


def test_programs_may_name_their_outputs_as_they_like(folder):
    names = {"logs/deep/file": b"1", "logs/seal.json": b"2", ".hidden": b"3", "a b (2).txt": b"4", "Größe": b"5"}
    assert unpack(folder, stream(delivery(sealed(names)))).problem is None
    assert below(folder / "hosts/host1/0000") == sorted([*names, "seal.json"])


@pytest.mark.parametrize(
    "name",
    [
        "../secret", "samples/../../secret", "samples/0000/../../../secret", "/tmp/x", "samples/0000/./file",
        "samples/0000/deep//file", "samples/0000/" + "deep/" * 20 + "file", "samples/0000", "samples/../secret",
        "samples/latest/file", "samples/0000/a\x1b[2J", "samples/0000/", "plan.json", "coordinator.jsonl",
        "journal/host2.jsonl", "samples/0000/a\nb", "0000/a\u202eb",
    ],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_refuses_the_whole_delivery(folder, name):
    taken = unpack(folder, stream([*delivery(), (name, b"after")]))
    assert "has no place in a result folder" in taken.problem
    assert "\x1b" not in taken.problem
    assert below(folder) == []


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
@pytest.mark.parametrize("first", [True, False], ids=["first", "last"])
def test_only_regular_files_are_taken(folder, kind, first):
    odd = [(special("samples/0000/client.stdout", kind, "../../../secret"), b"")]
    entries = [*odd, *delivery()] if first else [*delivery(), *odd]
    assert "has no place in a result folder" in unpack(folder, stream(entries)).problem
    assert below(folder) == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (FILES, "has no readable seal (FileNotFoundError)"),
        ({**FILES, "seal.json": b"[]"}, "has no readable seal (TypeError)"),
        ({**FILES, "seal.json": b"{" * 100_000}, "has no readable seal"),
        ({**sealed(FILES), "more": b""}, "'more' is not both sealed and delivered"),
        ({"seal.json": sealed(FILES)["seal.json"]}, "'client.stdout' is not both sealed and delivered"),
        ({**sealed(FILES), "client.stdout": b"sAid\n"}, "'client.stdout' differs from its seal"),
        ({**sealed(FILES), "client.stdout": b"said"}, "'client.stdout' differs from its seal"),
    ],
)
def test_what_differs_from_its_seal_is_not_taken(folder, files, said):
    assert said in unpack(folder, stream(delivery(files))).problem
    assert below(folder) == []


def test_a_file_that_comes_twice_is_not_taken(folder):
    twice = [*delivery(), ("samples/0000/client.stdout", b"other")]
    assert unpack(folder, stream(twice)).problem
    assert below(folder) == []


def test_too_much_is_refused(folder, monkeypatch):
    monkeypatch.setattr(collect, "LIMIT_BYTES", 100)
    assert "too many files, or too large" in unpack(folder, stream(delivery())).problem
    monkeypatch.setattr(collect, "LIMIT_FILES", 2)
    assert "too many files, or too large" in unpack(folder, stream(delivery(sealed({"a": b""})))).problem


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
@pytest.mark.parametrize("size", [8 << 30, -512, -(8 << 30)])
def test_a_header_does_not_fill_the_memory(folder, kind, size):
    """The size that a header states for itself is read in one piece, or is all that is left when it is negative."""
    long = special("x", kind)
    long.size = size
    data = io.BytesIO(long.tobuf(tarfile.GNU_FORMAT) + bytes(4096))
    read = []
    plain, data.read = data.read, lambda size=-1: read.append(size) or plain(size)
    taken = collect.unpack(data, "host1", folder)
    assert taken.problem
    assert below(folder) == []
    assert all(0 <= size <= 1 << 20 for size in read)


@given(cut=st.integers(0, 4999))
def test_a_stream_that_breaks_off_is_refused_or_lacks_whole_samples(tmp_path_factory, cut):
    folder = tmp_path_factory.mktemp("run")
    whole = stream(delivery())
    taken = unpack(folder, whole[:cut])
    assert taken.problem or taken.folders in ((), ("0000",))
    if taken.folders:
        assert below(folder / "hosts/host1/0000") == sorted(sealed(FILES))


@given(st.binary(max_size=2000))
def test_garbage_is_refused_in_words(tmp_path_factory, data):
    taken = unpack(tmp_path_factory.mktemp("run"), data)
    assert taken.problem is None or taken.problem.startswith("its outputs were not taken: ")
    assert taken.folders == ()


@pytest.mark.parametrize(
    "headers",
    [
        {"GNU.sparse.map": "0,x"},
        {"GNU.sparse.major": "1", "GNU.sparse.minor": "0"},
        {"GNU.sparse.map": "0,1", "size": "9"},
    ],
)
def test_sparse_files_are_not_taken(folder, headers):
    """They say in a few bytes that they are large; and tarfile stumbles over wrong ones with a bare ValueError."""
    member = tarfile.TarInfo("samples/0000/client.stdout")
    member.pax_headers = headers
    assert unpack(folder, stream([(member, b"no map"), *delivery()], tarfile.PAX_FORMAT)).problem
    assert below(folder) == []


def test_a_header_is_not_read_whole_when_it_is_long(folder):
    member = special("././@LongLink", tarfile.GNUTYPE_LONGNAME)
    assert "a header that announces 16777216 bytes" in unpack(folder, stream([(member, b"x" * (1 << 24))])).problem


def test_headers_of_headers_of_headers_are_refused(folder):
    chain = b"".join(special("x", tarfile.GNUTYPE_LONGNAME).tobuf() for _number in range(2000))
    assert "not taken" in unpack(folder, chain + stream(delivery())).problem


def header(name, kind, size, content=b""):
    """One raw header: Python's own writer would not write it."""
    block = bytearray(special(name, kind).tobuf(tarfile.GNU_FORMAT))
    block[124:136] = size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block) + content + bytes(-len(content) % 512)


BELOW_NOTHING = b"\xff" * 11 + b"\x00"  # -256, in base 256


@pytest.mark.parametrize("kind", [tarfile.REGTYPE, tarfile.GNUTYPE_LONGNAME, b"7"])
def test_a_size_below_nothing_leads_nowhere(folder, kind):
    """tarfile would go back to where it has been, or read all that there is in one piece."""
    taken = unpack(folder, header("samples/0000/x", kind, BELOW_NOTHING) + stream(delivery()))
    assert "a header that announces -256 bytes" in taken.problem or "no place" in taken.problem


@pytest.mark.parametrize(
    "kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_SPARSE, tarfile.DIRTYPE]
)
def test_other_kinds_of_header_are_not_even_read(folder, kind):
    """Digits without end, for one, take tarfile of Python 3.11 hours: it searches them with a regular expression."""
    before = time.process_time()
    assert "no place" in unpack(folder, header("x", kind, b"%011o\0" % (1 << 20), b"9" * (1 << 20))).problem
    assert time.process_time() - before < 1


def test_a_hundred_thousand_files_are_not_kept_in_memory():
    data = io.BytesIO(header("samples/0000/name", tarfile.REGTYPE, b"%011o\0" % 0) * 5_000)
    tracemalloc.start()
    try:
        assert sum(1 for _member in collect._members(data)) == 5_000
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_a_host_is_one_folder_whatever_it_is_called(folder):
    for host, name in (("../../secret", "..%2F..%2Fsecret"), ("fe80::1%eth0", "fe80::1%25eth0"), ("..", "%2E%2E")):
        assert collect.unpack(io.BytesIO(stream(delivery())), host, folder).problem is None
        assert (folder / "hosts" / name / "0000/client.stdout").read_bytes() == b"said\n"
        assert (folder / "journal" / f"{name}.jsonl").is_file()


def test_a_seal_of_another_version_is_refused_as_such(folder):
    files = {**FILES, "seal.json": sealed(FILES)["seal.json"].replace(b'"schema": 1', b'"schema": 99')}
    assert "sample 0000 has a seal of schema 99, expected 1" in unpack(folder, stream(delivery(files))).problem


def test_a_disk_that_is_full_here_costs_this_host_and_no_other(folder, monkeypatch):
    async def run(*arguments, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(collect.remote, "run", run)
    host = Endpoint("host1", "", (), "python3", "worker.pyz", ())
    taken = asyncio.run(collect.collect(host, "run", folder, timeout_s=1))
    assert taken.problem == "its outputs were not taken: No space left on device"
    assert below(folder) == []
