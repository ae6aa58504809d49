# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The archive: the same bytes for the same sources, whole, and runnable."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils import _archive

CLI = """\
def main():
    import pkgutil
    print(pkgutil.get_data("netbench_worker", "version.json").decode())
    return 7
"""


@pytest.fixture
def collection(tmp_path):
    """A small collection in a clone's shape, whose worker prints its version and exits 7."""
    root = tmp_path / "collection"
    for package in _archive.PACKAGES:
        folder = root / "plugins" / "module_utils" / package
        folder.mkdir(parents=True)
        (folder / "__init__.py").write_text("")
    (root / "plugins/module_utils/_worker/cli.py").write_text(CLI)
    (root / "galaxy.yml").write_text("---\nname: x\nversion: 1.2.3  # a comment\n")
    return root


def test_same_sources_give_same_bytes_whatever_their_times_modes_and_order(collection):
    before = _archive.content(collection)
    for path in collection.rglob("*.py"):
        os.utime(path, (1, 1))
        path.chmod(0o600)
    (collection / "plugins/module_utils/_worker/__pycache__").mkdir()
    (collection / "plugins/module_utils/_worker/__pycache__/cli.pyc").write_bytes(b"stale")
    assert _archive.content(collection) == before


def test_a_changed_source_or_version_changes_the_hash(collection, tmp_path):
    hashes = {_archive.build(tmp_path / "out", root=collection).sha256}
    (collection / "plugins/module_utils/_protocol/new.py").write_text("x = 1\n")
    hashes.add(_archive.build(tmp_path / "out", root=collection).sha256)
    (collection / "galaxy.yml").write_text("version: '1.2.4'\n")
    hashes.add(_archive.build(tmp_path / "out", root=collection).sha256)
    assert len(hashes) == 3


def test_the_archive_runs_and_knows_its_version(collection, tmp_path):
    archive = _archive.build(tmp_path / "out", root=collection)
    assert hashlib.sha256(archive.path.read_bytes()).hexdigest() == archive.sha256
    assert archive.path.stat().st_mode & 0o777 == 0o755
    ran = subprocess.run([sys.executable, archive.path], capture_output=True, text=True, timeout=20, check=False)
    assert (ran.returncode, json.loads(ran.stdout)) == (7, {"version": "1.2.3"})


def test_an_installed_collection_names_its_version_in_the_manifest(collection):
    (collection / "MANIFEST.json").write_text(json.dumps({"collection_info": {"version": "9.8.7"}}))
    assert _archive.collection_version(collection) == "9.8.7"


def test_an_incomplete_collection_is_refused(collection):
    (collection / "galaxy.yml").unlink()
    with pytest.raises(_archive.ArchiveError, match=r"galaxy\.yml"):
        _archive.content(collection)
    (collection / "plugins/module_utils/_netbench/__init__.py").unlink()
    with pytest.raises(_archive.ArchiveError, match="_netbench"):
        _archive.content(collection)


def test_the_cache_is_used_and_repaired(collection, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    first = _archive.build(root=collection)
    assert first.path.parent == tmp_path / "xdg/netbench-orchestrator/worker"
    inode = first.path.stat().st_ino
    assert _archive.build(root=collection).path.stat().st_ino == inode
    first.path.write_bytes(b"truncated")
    assert hashlib.sha256(_archive.build(root=collection).path.read_bytes()).hexdigest() == first.sha256
    assert [path.name for path in first.path.parent.iterdir()] == [first.path.name]


def test_the_collection_itself_builds():
    archive_bytes = _archive.content(_archive.collection_root())
    with zipfile.ZipFile(io.BytesIO(archive_bytes)) as archive:
        names = archive.namelist()
        assert names == sorted(names)
        assert {"__main__.py", "netbench_worker/__init__.py", "netbench_worker/version.json"} <= set(names)
