# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that becomes somebody, as Ansible's own plugin makes it; real sudo is in tests/integration/lab."""

from __future__ import annotations

import shlex
import shutil
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.template import Templar
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.connections import endpoint
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.endpoint import Endpoint
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.errors import HostError


def reached(**variables: Any) -> Endpoint:
    return endpoint(
        "h1",
        variables={"inventory_hostname": "h1", "ansible_connection": "local", **variables},
        templar=Templar(DataLoader()),
        task=Task(),
        play_context=PlayContext(),
        address="127.0.0.1",
    )


def words(found: Endpoint) -> list[str]:
    """What the shell makes of the command line."""
    shell, option, line = found.argv("attach")
    assert (shell, option) == ("/bin/sh", "-c")
    return shlex.split(line)


@pytest.mark.parametrize(
    ("variables", "user"),
    [
        ({"ansible_become": True}, "root"),
        ({"ansible_become": "yes", "ansible_become_user": "netbench"}, "netbench"),
        ({"netbench_worker": {"become_method": "sudo", "become_user": "root"}}, "root"),
        ({"netbench_worker": {"become_method": "sudo", "become_user": "bench"}}, "bench"),
    ],
)
def test_sudo_runs_a_shell_that_says_it_has_the_rights(variables: dict[str, Any], user: str) -> None:
    found = reached(**variables)
    assert found.become
    *sudo, shell, option, script = words(found)
    assert sudo[:1] == ["sudo"]
    assert sudo[-2:] == ["-u", user]
    assert "-n" in sudo, "nobody is there to type a password"
    assert (shell, option) == ("/bin/sh", "-c")
    assert script.startswith(f"echo {found.become.success}; exec python3 ")


def test_a_password_is_asked_for_and_is_not_in_the_command() -> None:
    found = reached(ansible_become=True, ansible_become_password="canary")
    assert found.become
    assert found.become.password == "canary"
    assert found.become.prompt
    assert found.become.prompt in words(found)
    assert "-n" not in words(found)
    assert "canary" not in " ".join(found.argv("attach"))


def test_nobody_becomes_anybody_unasked() -> None:
    assert reached().become is None
    assert reached(ansible_become=False).become is None


def test_a_method_that_cannot_carry_the_channel_is_refused() -> None:
    with pytest.raises(HostError, match="use sudo"):
        reached(ansible_become=True, ansible_become_method="runas", ansible_become_user="root")


@pytest.mark.skipif(shutil.which("ssh") is None, reason="not installed: ssh")
def test_a_channel_can_have_a_connection_of_its_own_which_nobody_keeps_open() -> None:
    found = reached(
        ansible_connection="ssh", ansible_host="192.0.2.1", netbench_worker={"sshd_keepalive_s": 5},
        ansible_ssh_args="-o ControlMaster=auto -o ControlPersist=60s",
    )  # fmt: skip
    assert (found.server_speaks_s, found.speaks) == (5, False)
    own = found.on_its_own().argv("attach")
    first = [word for word in own if word.startswith(("ControlPath=", "ControlMaster=", "ServerAliveInterval="))][:3]
    assert first == ["ControlPath=none", "ControlMaster=no", "ServerAliveInterval=0"], "ssh takes what it hears first"
    assert own[-2:] == found.argv("attach")[-2:], "the same destination and command"
    assert found.hush[-3:] == ("-O", "stop", "192.0.2.1")
    kept_open = {"ansible_ssh_args": "-o ServerAliveInterval=7", "ansible_connection": "ssh"}
    assert reached(**kept_open).speaks
    assert reached(**kept_open, netbench_worker={"sshd_keepalive_s": "soon"}).server_speaks_s is None
