# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From sources to entries: built once, known again, and refused with the compiler's own words."""

from __future__ import annotations

import base64
import functools
import http.server
import os
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools import produce as producing
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools.errors import BuildError, SourceError
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools.produce import Package, produce
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools.source import parse
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools.store import Store, file_sha256

from .conftest import TCP

CRATES = {"kind": "crates", "version": "0.1.0"}
CANARY = "canary-5e3c"
GIT = ["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"]


def make(store: Store, source: dict[str, str], package: Package = TCP):
    return produce(package, parse(source), store, timeout_s=20)


# Built


def test_crates_are_built_once_by_the_exact_version(store: Store, builds: Path) -> None:
    entry, made = make(store, CRATES)
    assert made
    assert sorted(entry.tools) == ["client-tcp", "server-tcp"]
    assert entry.tools["client-tcp"].version == "0.1.0"
    assert "install --locked" in builds.read_text()
    assert "driver-tcp@0.1.0" in builds.read_text()
    assert make(store, CRATES) == (entry, False)
    assert len(builds.read_text().splitlines()) == 1


def test_a_second_run_needs_no_compiler(store: Store, builds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry, _made = make(store, CRATES)
    monkeypatch.setenv("PATH", "/nowhere")
    assert make(store, CRATES) == (entry, False)


def test_version_and_compiler_are_in_the_key(store: Store, builds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = {make(store, CRATES)[0].key, make(store, {**CRATES, "version": "0.1.1"})[0].key}
    monkeypatch.setenv("RUSTC", "rustc 1.96.0")
    (store.root / "requests").rename(store.root / "forgotten")
    keys.add(make(store, CRATES)[0].key)
    assert len(keys) == 3


def test_builders_at_the_same_time_build_once(store: Store, builds: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _number: make(store, CRATES), range(8)))
    assert len({entry.key for entry, _made in results}) == 1
    assert [made for _entry, made in results].count(True) == 1
    assert len(builds.read_text().splitlines()) == 1


def test_build_errors_end_with_the_compilers_last_lines(
    store: Store, builds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAIL_WITH", "error: could not compile `s2n-quic`")
    with pytest.raises(BuildError) as failure:
        make(store, CRATES)
    lines = str(failure.value).splitlines()
    assert "building driver-tcp from the Rust registry 0.1.0 failed with exit status 101" in lines[0]
    assert lines[-1] == "error: could not compile `s2n-quic`"
    assert len(lines) == 16
    assert store.keys() == []


@pytest.mark.parametrize("program", ["cargo", "cc"])
def test_a_missing_program_is_named_with_the_way_out(store: Store, builds: Path, program: str) -> None:
    (Path(os.environ["PATH"]) / program).unlink()
    with pytest.raises(BuildError, match=f"{program}.*does not have. Install it there .*prebuilt"):
        make(store, CRATES)


def test_a_build_that_takes_too_long_is_stopped(store: Store, builds: Path) -> None:
    cargo = Path(os.environ["PATH"]) / "cargo"
    cargo.write_text(f"#!{sys.executable}\nimport signal\nsignal.pause()\n")
    with pytest.raises(BuildError, match="longer than 0 s"):
        produce(TCP, parse(CRATES), store, timeout_s=0.3)


def test_a_tree_is_built_again_when_it_changes(store: Store, builds: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    source = {"kind": "path", "path": str(tree)}
    with pytest.raises(SourceError, match=r"no Cargo\.toml"):
        make(store, source)
    (tree / "Cargo.toml").write_text("[workspace]")
    first, _made = make(store, source)
    (tree / "target").mkdir()
    (tree / "target" / "leftover").write_text("x")
    assert make(store, source) == (first, False)
    (tree / "lib.rs").write_text("x")
    second, made = make(store, source)
    assert made
    assert second.key != first.key


# Git


class PasswordServer(http.server.SimpleHTTPRequestHandler):
    """A plain web server that wants the canary as its password."""

    def do_GET(self) -> None:
        wanted = "Basic " + base64.b64encode(f"user:{CANARY}".encode()).decode()
        if self.headers.get("Authorization") == wanted and self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/tool")
            self.end_headers()
        elif self.headers.get("Authorization") == wanted:
            super().do_GET()
        else:
            self.send_response(401)
            self.send_header("WWW-Authenticate", f'Basic realm="say {CANARY}"')
            self.send_header("Content-Length", "0")
            self.end_headers()

    def end_headers(self) -> None:
        if self.path == "/tool":
            self.send_header("Content-Encoding", "gzip")  # as some do for archives: it is the file all the same
        super().end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit, the branch `main` and the tag `v1`."""
    work = tmp_path / "work"
    work.mkdir()
    (work / "Cargo.toml").write_text("[workspace]")
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "x"], ["tag", "-a", "v1", "-m", "x"]):
        subprocess.run([*GIT, *arguments], cwd=work, check=True, timeout=20)
    return work


@pytest.fixture
def server(repository: Path, tmp_path: Path) -> Iterator[str]:
    """The repository behind HTTP with a password; gives host:port."""
    subprocess.run(["git", "clone", "-q", "--bare", repository, tmp_path / "www" / "x.git"], check=True, timeout=20)
    subprocess.run(["git", "update-server-info"], cwd=tmp_path / "www" / "x.git", check=True, timeout=20)
    handler = functools.partial(PasswordServer, directory=str(tmp_path / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def test_a_branch_is_followed_and_a_tag_is_peeled(
    store: Store, repository: Path, builds: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producing, "FRESH_S", 0.0)
    source = {"kind": "git", "url": str(repository), "ref": "main"}
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=repository, text=True, timeout=20).strip()
    first, made = make(store, source)
    assert made
    assert first.origin["ref"] == commit
    assert first.tools["client-tcp"].version == commit[:12]
    assert make(store, {**source, "ref": "v1"})[0] == first
    assert make(store, {**source, "ref": commit})[0] == first
    subprocess.run([*GIT, "commit", "-q", "--allow-empty", "-m", "y"], cwd=repository, check=True, timeout=20)
    assert make(store, source)[0].key != first.key
    with pytest.raises(SourceError, match="no tag or branch 'nope'"):
        make(store, {**source, "ref": "nope"})


def test_hosts_of_one_play_look_a_branch_up_once(store: Store, repository: Path, builds: Path) -> None:
    source = {"kind": "git", "url": str(repository), "ref": "main"}
    first = make(store, source)[0]
    repository.rename(repository.with_name("gone"))
    assert make(store, source) == (first, False)


def test_a_password_works_and_is_found_nowhere(store: Store, server: str, builds: Path, tmp_path: Path) -> None:
    """Neither in the cache and its logs, nor on a command line, nor in what comes back."""
    git, argv = Path(os.environ["PATH"]) / "git", tmp_path / "argv"
    real = os.readlink(git)
    git.unlink()
    git.write_text(f'#!/bin/sh\necho "$*" >> {argv}\nexec {real} "$@"\n')
    git.chmod(0o755)
    url = f"http://user:{CANARY}@{server}/x.git"
    entry, made = make(store, {"kind": "git", "url": url, "ref": "main"})
    assert made
    assert "ls-remote" in argv.read_text()
    with pytest.raises(BuildError) as failure:
        make(store, {"kind": "git", "url": url.replace(CANARY, f"{CANARY}-wrong"), "ref": "v1"})
    places = [path for path in [*store.root.rglob("*"), argv, builds] if path.is_file()]
    assert len(places) > 5
    assert not [path for path in places if CANARY.encode() in path.read_bytes()]
    assert CANARY not in str(failure.value) + repr(entry) + argv.read_text()


# Prebuilt


@pytest.fixture
def binaries(tmp_path: Path) -> Path:
    folder = tmp_path / "binaries"
    (folder / "deep").mkdir(parents=True)
    (folder / "client-tcp").write_text("client")
    (folder / "deep" / "server-tcp").write_text("server")
    return folder


def test_a_folder_and_an_archive_give_the_same_entry(store: Store, binaries: Path, tmp_path: Path) -> None:
    from_folder, made = make(store, {"kind": "prebuilt", "path": str(binaries), "version": "7"})
    assert made
    assert from_folder.tools["server-tcp"].version == "7"
    with tarfile.open(tmp_path / "x.tar.gz", "w:gz") as tar:
        tar.add(binaries, "whatever-1.0")
    archive = {"kind": "prebuilt", "path": str(tmp_path / "x.tar.gz"), "version": "7"}
    assert make(store, archive) == (from_folder, False)
    assert make(store, {**archive, "sha256": file_sha256(tmp_path / "x.tar.gz")})[0] == from_folder
    with pytest.raises(SourceError, match="instead of"):
        make(store, {**archive, "sha256": "0" * 64})


def test_what_lacks_is_named_beside_what_is_there(store: Store, binaries: Path) -> None:
    wanted = replace(TCP, tools=("client-tcp", "server-quic"))
    with pytest.raises(SourceError, match="lacks server-quic; it has client-tcp, server-tcp"):
        make(store, {"kind": "prebuilt", "path": str(binaries)}, wanted)
    with pytest.raises(SourceError, match="does not exist"):
        make(store, {"kind": "prebuilt", "path": str(binaries / "no")})
    with pytest.raises(SourceError, match="is a folder, which has no SHA-256"):
        make(store, {"kind": "prebuilt", "path": str(binaries), "sha256": "0" * 64})


def test_a_link_in_an_archive_is_not_a_tool(store: Store, binaries: Path, tmp_path: Path) -> None:
    (binaries / "client-tcp").unlink()
    (binaries / "client-tcp").symlink_to("/etc/hostname")
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        tar.add(binaries, "x")
    with pytest.raises(SourceError, match="lacks client-tcp"):
        make(store, {"kind": "prebuilt", "path": str(tmp_path / "x.tar")})


def test_a_url_is_fetched_once_and_checked(store: Store, server: str, tmp_path: Path) -> None:
    pytest.importorskip("ansible.module_utils.urls", reason="fetching uses what Ansible brings to a module")
    (tmp_path / "www" / "tool").write_text("program")
    source = {"kind": "prebuilt", "url": f"http://user:{CANARY}@{server}/tool", "sha256": "0" * 64}
    one = Package("one", ("client-tcp",))
    with pytest.raises(SourceError, match="instead of 0000"):
        make(store, source, one)
    source["sha256"] = file_sha256(tmp_path / "www" / "tool")
    entry, made = make(store, source, one)
    assert made
    assert entry.path("client-tcp").read_text() == "program"
    (tmp_path / "www" / "tool").unlink()
    assert make(store, source, one) == (entry, False)
    with pytest.raises(SourceError, match=r"cannot be fetched: .*404") as failure:
        make(store, {**source, "sha256": "1" * 64}, one)
    assert CANARY not in str(failure.value)


def test_a_url_gets_its_own_credentials_and_a_redirect_gets_none(
    store: Store, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ansible.module_utils.urls", reason="fetching uses what Ansible brings to a module")
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login somebody password else")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    (tmp_path / "www" / "tool").write_text("program")
    sha256 = file_sha256(tmp_path / "www" / "tool")
    one = Package("one", ("client-tcp",))
    with pytest.raises(SourceError, match=r"cannot be fetched: .*401") as failure:
        make(store, {"kind": "prebuilt", "url": f"http://user:{CANARY}@{server}/moved", "sha256": sha256}, one)
    assert CANARY not in str(failure.value)
    assert make(store, {"kind": "prebuilt", "url": f"http://user:{CANARY}@{server}/tool", "sha256": sha256}, one)[1]
