# SPDX-License-Identifier: GPL-3.0-or-later
"""The result folder's names, and reading what a worker may have planted there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results import folder as folders
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.errors import FolderError
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.folder import ResultFolder
from hypothesis import given
from hypothesis import strategies as st


@given(st.text(min_size=1).filter(lambda name: "\0" not in name))
def test_a_host_is_one_file_name_whatever_it_is_called(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    found = folders.host_name(name)
    assert "/" not in found
    assert found not in ("", ".", "..")


def test_ordinary_hosts_keep_their_names() -> None:
    for name in ("client-0", "ip-10-0-0-1.ec2.internal", "2001:db8::1", "user@host"):
        assert folders.host_name(name) == name


@pytest.mark.parametrize("name", ["../0003", "3", "0003/../..", "0003.", "", "0003.2.1", "00000003"])
def test_only_a_samples_folder_is_read(name: str, tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="not the name of a sample's folder"):
        ResultFolder(tmp_path).outputs("client-0", name)


def test_attempts_have_folders_of_their_own() -> None:
    assert [folders.sample_name(3), folders.sample_name(3, 2), folders.sample_name(12345)] == [
        "0003",
        "0003.2",
        "12345",
    ]


def test_links_pipes_and_folders_are_not_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("key")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    os.mkfifo(tmp_path / "pipe")
    assert [folders.read(tmp_path / name) for name in ("link", "pipe", ".", "missing")] == [None] * 4
    assert folders.read(tmp_path / "secret", limit=2) == b"ke"


def test_writing_is_whole_or_not_at_all(tmp_path: Path) -> None:
    assert folders.write(tmp_path / "a", "one")
    assert not folders.write(tmp_path / "a", "one"), "the same content again is no change"
    with pytest.raises(FolderError, match="cannot be written: No such file"):
        folders.write(tmp_path / "missing" / "a", "two")
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_run_is_found_by_id_by_path_and_as_latest(write_run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = write_run(servers=1, clients=1, points=1, repeats=1)
    ResultFolder(path).point_latest()
    results = tmp_path / "results"
    assert {folders.find(run, results).path for run in (path.name, "latest", str(path))} == {path}
    with pytest.raises(FolderError, match=f"No run 'nope' in .* Known runs: {path.name}"):
        folders.find("nope", results)


def test_latest_follows_the_newest_and_spares_a_folder_of_that_name(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        ResultFolder(tmp_path / name).point_latest()
    assert (tmp_path / "latest").readlink() == Path("b")
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").mkdir()
    ResultFolder(tmp_path / "a").point_latest()
    assert (tmp_path / "latest").is_dir()


@given(st.binary())
def test_lines_that_are_not_objects_are_left_out(content: bytes) -> None:
    good = b'{"event":"run"}\n'
    assert {"event": "run"} in list(folders.json_lines(good + content))
