# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as users get it: built, installed into an empty folder, and run from somebody else's repository."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
RUN_LIMIT_S = 120
SHIPPED = {
    "CHANGELOG.rst",
    "CONTRIBUTING.md",
    "FILES.json",
    "LICENSE",
    "MANIFEST.json",
    "README.md",
    "changelogs",
    "docs",
    "inventories",
    "meta",
    "playbooks",
    "plugins",
    "roles",
}
SIZE_LIMIT_BYTES = 2_000_000


@dataclass(frozen=True)
class User:
    """Somebody with an installed collection: their folder, the collection, and the programs of their environment."""

    folder: Path
    collections: Path
    programs: Path

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a program of their environment in their folder; output and errors come together."""
        return subprocess.run(
            [str(self.programs / program), *arguments],
            cwd=self.folder,
            env=environment(self.folder, self.collections, self.programs),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=RUN_LIMIT_S,
            check=False,
        )


def environment(home: Path, collections: Path, programs: Path) -> dict[str, str]:
    """Nothing of ours: neither the clone's ansible.cfg nor its collections."""
    return {
        "HOME": str(home),
        "PATH": os.pathsep.join((str(programs), "/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin")),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_COLLECTIONS_PATH": str(collections),
        "ANSIBLE_NOCOLOR": "1",
    }


@pytest.fixture(scope="session", name="artefact")
def _artefact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive that would be published."""
    folder = tmp_path_factory.mktemp("artefact")
    command = [str(Path(sys.executable).parent / "ansible-galaxy"), "collection", "build", "--output-path", str(folder)]
    subprocess.run(command, cwd=ROOT, timeout=RUN_LIMIT_S, check=True, stdin=subprocess.DEVNULL)
    (built,) = folder.glob("netbench-orchestrator-*.tar.gz")
    return built


@pytest.fixture(scope="session", name="collections")
def _collections(artefact: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the archive was installed, without a network."""
    folder = tmp_path_factory.mktemp("installed")
    programs = Path(sys.executable).parent
    command = [str(programs / "ansible-galaxy"), "collection", "install", str(artefact), "-p", str(folder), "--offline"]
    env = environment(folder, folder, programs)
    subprocess.run(command, cwd=folder, env=env, timeout=RUN_LIMIT_S, check=True, stdin=subprocess.DEVNULL)
    return folder


@pytest.fixture(name="user")
def _user(collections: Path, tmp_path: Path) -> Iterator[User]:
    """A user with our libraries, and a copy of somebody's repository as their folder; their workers are ended."""
    folder = tmp_path / "theirs"
    shutil.copytree(ROOT / "tests/foreign", folder)
    user = User(folder, collections, Path(sys.executable).parent)
    yield user
    user.run("ansible-playbook", "-i", "hosts.ini", "remove.yml")


@pytest.fixture(name="bare_user")
def _bare_user(user: User) -> User:
    """The same user with ansible-core and nothing else, no charts and no certificates."""
    python = sys.executable
    install = [python, str(ROOT / "requirements/install.py"), "bare"]
    subprocess.run(install, timeout=600, check=True, stdin=subprocess.DEVNULL)
    return User(user.folder, user.collections, ROOT / ".cache/venv/bare/bin")


def test_archive_holds_what_a_user_needs_and_nothing_else(artefact: Path) -> None:
    with tarfile.open(artefact) as archive:
        names = [member.name for member in archive if member.isfile()]
    tops = {name.split("/")[0] for name in names}
    assert tops <= SHIPPED, f"unexpected: {sorted(tops - SHIPPED)}"
    assert {"README.md", "LICENSE", "meta", "playbooks", "plugins", "roles"} <= tops
    made = ("__pycache__", ".pyc", ".cache", ".git", ".venv", "output/")
    assert not [name for name in names if any(part in name for part in made)]
    assert artefact.stat().st_size < SIZE_LIMIT_BYTES


def test_main_job_runs_by_name_with_somebody_elses_inventory(user: User) -> None:
    theirs = json.dumps({"incast_hosts": "site", "run_groups": {"servers": "storage", "clients": "compute"}})
    done = user.run("ansible-playbook", "netbench.orchestrator.incast", "-i", "hosts.ini", "-e", theirs)
    assert done.returncode == 0, done.stdout
    assert verdicts(user.folder / "results/latest") == ["ok"], done.stdout
    assert (user.folder / "results/latest/report.html").is_file()


def test_foreign_playbook_uses_roles_and_coordinator_by_name(user: User) -> None:
    done = user.run("ansible-playbook", "-i", "hosts.ini", "incast.yml")
    assert done.returncode == 0, done.stdout
    assert verdicts(user.folder / "measured/latest") == ["ok"], done.stdout
    manifest = json.loads((user.folder / "measured/latest/manifest.json").read_text())
    assert set(manifest["hosts"]) == {"rack1-a", "rack2-a", "rack1-c"}


def test_without_our_libraries_one_message_names_library_and_feature(bare_user: User) -> None:
    done = bare_user.run("ansible-playbook", "-i", "hosts.ini", "incast.yml")
    assert verdicts(bare_user.folder / "measured/latest") == ["ok"], done.stdout
    assert (bare_user.folder / "measured/latest/summary.json").is_file()
    assert "plotly" in done.stdout
    assert "report.html" in done.stdout
    assert "Traceback" not in done.stdout


def verdicts(run: Path) -> list[str]:
    """The verdict of every sample and attempt of a run."""
    with (run / "samples.csv").open(newline="") as table:
        return [row["verdict"] for row in csv.DictReader(table)]
