# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cache: whole entries or none, one builder at a time, damage noticed."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools.errors import BuildError, SourceError
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools.store import Entry, Store


def fill(into: Path) -> None:
    (into / "tool").write_bytes(b"program")


def publish(store: Store) -> Entry:
    return store.publish("key", {"kind": "test"}, "1.0", fill)


def test_what_is_published_is_loaded(store: Store) -> None:
    entry = publish(store)
    assert store.load("key") == entry
    assert entry.path("tool").stat().st_mode & 0o777 == 0o755
    assert entry.tools["tool"].size == 7
    assert store.keys() == ["key"]
    assert store.root.stat().st_mode & 0o077 == 0


def test_a_failed_build_leaves_nothing(store: Store) -> None:
    def break_down(into: Path) -> None:
        fill(into)
        raise BuildError("no")

    with pytest.raises(BuildError):
        store.publish("key", {}, "1.0", break_down)
    with pytest.raises(SourceError, match="no tools"):
        store.publish("key", {}, "1.0", lambda into: None)
    assert store.load("key") is None
    assert list(store.root.iterdir()) == []


def test_a_damaged_entry_is_no_entry(store: Store) -> None:
    publish(store).path("tool").write_bytes(b"prog")
    assert store.load("key") is None
    assert publish(store).path("tool").read_bytes() == b"program"
    (store.root / "key" / "manifest.json").write_text("{")
    assert store.load("key") is None


def test_same_size_damage_is_found_when_packing(store: Store, tmp_path: Path) -> None:
    publish(store).path("tool").write_bytes(b"PROGRAM")
    with pytest.raises(BuildError, match="damaged"):
        store.pack({"key": ["tool"]}, tmp_path / "pack")
    assert store.load("key") is None


def test_a_pack_moves_an_entry_to_another_cache(store: Store, tmp_path: Path) -> None:
    entry = publish(store)
    store.pack({"key": ["tool"]}, tmp_path / "pack")
    other = Store(tmp_path / "other")
    taken = other.unpack("key", tmp_path / "pack")
    assert (taken.tools, taken.origin) == (entry.tools, entry.origin)
    assert other.unpack("key", tmp_path / "pack") == taken


def test_a_pack_that_lies_is_refused(store: Store, tmp_path: Path) -> None:
    publish(store)
    store.pack({"key": ["tool"]}, tmp_path / "pack")
    with tarfile.open(tmp_path / "pack") as good, tarfile.open(tmp_path / "bad", "w") as bad:
        bad.addfile(good.getmember("key/manifest.json"), good.extractfile("key/manifest.json"))
        (tmp_path / "x").write_bytes(b"PROGRAM")
        bad.add(tmp_path / "x", "key/tool")
    with pytest.raises(BuildError, match="damaged"):
        Store(tmp_path / "other").unpack("key", tmp_path / "bad")


def test_a_lock_that_is_held_is_not_waited_for_for_ever(store: Store) -> None:
    with store.lock("x", timeout_s=1), pytest.raises(BuildError, match="held"), store.lock("x", timeout_s=0.01):
        pass
    with store.lock("x", timeout_s=0):
        pass


def test_a_request_leads_to_its_entry_while_it_is_fresh(store: Store) -> None:
    entry = publish(store)
    assert store.resolved("request") is None
    store.resolve("request", entry)
    assert store.resolved("request") == entry
    os.utime(store.root / "requests" / "request.json", (0, 0))
    assert store.resolved("request", younger_than_s=60) is None
    assert store.resolved("request") == entry
