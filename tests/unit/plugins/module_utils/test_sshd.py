# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a host finds out whether its ssh server speaks on idle connections."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils import _sshd


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90", 90), ("90s", 90), ("1m30s", 90), ("1H", 3600), ("0", 0), ("never", None), ("", None), ("5 s", None)],
)
def test_times_are_read_as_sshd_reads_them(text: str, expected: int | None) -> None:
    assert _sshd.seconds(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("ClientAliveInterval 5\n", 5),
        ("clientaliveinterval = 1m # a minute\n", 60),
        ("#ClientAliveInterval 5\nClientAliveCountMax 3\n", 0),
        ("ClientAliveInterval 0\nMatch User backup\n  ClientAliveInterval 7\n", 7),
        ("ClientAliveInterval\n", 0),
    ],
)
def test_the_shortest_interval_of_a_configuration_counts(tmp_path: Path, text: str, expected: int) -> None:
    (tmp_path / "sshd_config").write_text(text)
    assert _sshd.configured(str(tmp_path / "sshd_config")) == expected


def test_what_a_configuration_includes_counts(tmp_path: Path) -> None:
    (tmp_path / "sshd_config").write_text(f'Include "{tmp_path}/more.d/*.conf"\nInclude {tmp_path}/sshd_config\n')
    (tmp_path / "more.d").mkdir()
    for name, seconds in (("a.conf", 9), ("b.conf", 4), ("c.txt", 1)):
        (tmp_path / "more.d" / name).write_text(f"ClientAliveInterval {seconds}\n")
    assert _sshd.configured(str(tmp_path / "sshd_config")) == 4


def test_what_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    assert _sshd.configured(str(tmp_path / "missing")) is None
    (tmp_path / "sshd_config").write_text(f"Include {tmp_path}/folder*\nClientAliveInterval 5\n")
    (tmp_path / "folder").mkdir()
    assert _sshd.configured(str(tmp_path / "sshd_config")) is None


def test_sshd_itself_is_asked_where_that_is_possible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in that knows a Match block for one address, as root would ask it."""
    stand_in = tmp_path / "sshd"
    stand_in.write_text(
        '#!/bin/sh\ncase "$*" in "-T -C "*addr=192.0.2.7*) echo clientaliveinterval 3;;'
        " *-C*) exit 1;; *) echo clientaliveinterval 8;; esac\n"
    )
    stand_in.chmod(0o755)
    monkeypatch.setattr(_sshd, "_PATH", str(tmp_path))
    monkeypatch.setattr(os, "getuid", lambda: 0)
    there = {"SSH_CONNECTION": "192.0.2.7 50000 192.0.2.1 22", "USER": "root"}
    assert _sshd.keepalive_s(there) == 3
    assert _sshd.keepalive_s({"SSH_CONNECTION": ""}) == 8, "a specification that sshd does not take is left out"
    monkeypatch.setattr(_sshd, "_PATH", str(tmp_path / "empty"))
    (tmp_path / "sshd_config").write_text("ClientAliveInterval 11\n")
    assert _sshd.keepalive_s(there, str(tmp_path / "sshd_config")) == 11
