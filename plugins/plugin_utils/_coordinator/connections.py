# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From Ansible's variables to endpoints: the only file of the coordinator that knows Ansible. Private to this
collection.

The ssh argv is the one that Ansible's own ssh connection plugin builds (keys, ports, jump hosts, ControlPath
included). Its method ``_build_command`` has a private name but has kept its form since 2.5; a test fails when it
goes.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping
from typing import Any

from ansible import constants as C
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.playbook.play_context import PlayContext
from ansible.playbook.task import Task
from ansible.plugins.loader import become_loader, connection_loader, get_shell_plugin

from .endpoint import Become, Endpoint
from .errors import HostError

DEFAULT_PROGRAM = "/usr/local/lib/netbench-orchestrator/worker.pyz"
_PLACEHOLDER = "netbench_command"
_SSH = ("ssh", "smart", "ansible.builtin.ssh")
_LOCAL = ("local", "ansible.builtin.local")


def endpoint(
    host: str, *, variables: Mapping[str, Any], templar: Any, task: Task, play_context: PlayContext, address: str
) -> Endpoint:
    """How the worker of ``host`` is reached. Raises HostError when its connection cannot carry a channel."""
    worker = dict(variables.get("netbench_worker") or {})
    kind = str(variables.get("ansible_connection") or task.connection or "ssh")
    if kind not in _SSH + _LOCAL:
        raise HostError(host, f"connection {kind!r} cannot carry the channel to a worker; use ssh or local")
    over_ssh = _ssh(host, variables, templar, task, play_context) if kind in _SSH else {}
    options = [f"--instance={worker.get('instance') or variables.get('worker_instance') or 'default'}"]
    for option, fact in (("--state-dir", "state_dir"), ("--runtime-dir", "runtime_dir")):
        if worker.get(fact):
            options.append(f"{option}={worker[fact]}")
    return Endpoint(
        host=host,
        address=address,
        python=str(worker.get("python") or "python3"),
        program=str(worker.get("program") or DEFAULT_PROGRAM),
        options=tuple(options),
        become=_become(worker, variables, templar, task, play_context),
        server_speaks_s=_seconds(worker.get("sshd_keepalive_s")),
        **{"ssh": (), **over_ssh},
    )


def _ssh(
    host: str, variables: Mapping[str, Any], templar: Any, task: Task, play_context: PlayContext
) -> dict[str, Any]:
    """What an endpoint knows of ssh: see there."""
    connection = connection_loader.get("ssh", play_context, None)
    keys = {**task.dump_attrs(), "timeout": play_context.timeout}
    keys.pop("retries", None)
    connection.set_options(task_keys=keys, var_options=_options("connection", "ssh", variables, templar))
    if connection.get_option("password") or play_context.password:
        raise HostError(
            host, "the channel needs an ssh key or agent; passwords are asked for on a terminal it does not have"
        )
    destination = str(connection.get_option("host") or host)
    connection.host = destination
    argv = [_text(word) for word in connection._build_command(connection.get_option("ssh_executable"), "ssh")]
    # A shared master would send the user's keepalives in the window, or be sent the server's. So the channel has a
    # connection of its own then, without them, and an idle master is told to end (-O stop: after what it carries now).
    ours = ("-T", "-o", "ControlPath=none", "-o", "ControlMaster=no", "-o", "ServerAliveInterval=0")
    return {
        "ssh": (argv[0], "-T", *argv[1:], destination),
        "alone": (argv[0], *ours, *argv[1:], destination),
        "hush": (*argv, "-O", "stop", destination),
        "speaks": _keepalive_s([*argv, "-G", destination]) > 0,
    }


def _keepalive_s(argv: list[str]) -> int:
    """ServerAliveInterval as ssh itself resolves it from arguments and configuration files."""
    shown = subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False, stdin=subprocess.DEVNULL)
    for line in shown.stdout.splitlines():
        if line.startswith("serveraliveinterval "):
            return int(line.split()[1])
    return 0


def _seconds(value: Any) -> int | None:
    """A fact that may be of another version, or a person's."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _become(
    worker: Mapping[str, Any], variables: Mapping[str, Any], templar: Any, task: Task, play_context: PlayContext
) -> Become | None:
    """The wrapping of the become plugin, when the task or the host's variables become somebody, or else the role that
    installed the worker did."""

    def variable(name: str) -> Any:
        return templar.template(variables[name]) if name in variables else None

    user = task.become_user
    if boolean(variable("ansible_become") or task.become or False, strict=False):
        name = variable("ansible_become_method") or task.become_method or "sudo"
    else:
        name = worker.get("become_method")
        user = user or worker.get("become_user")
    if not name:
        return None
    plugin = become_loader.get(name)
    keys = {**task.dump_attrs(), "become_user": user, "become_pass": play_context.become_pass}
    plugin.set_options(task_keys=keys, var_options=_options("become", plugin._load_name, variables, templar))
    wrapped = plugin.build_become_command(_PLACEHOLDER, get_shell_plugin("sh", executable="/bin/sh"))
    inner = shlex.quote(f"echo {plugin.success} ; {_PLACEHOLDER}")
    if inner not in wrapped:
        raise HostError(
            str(variables.get("inventory_hostname")), f"become method {name!r} cannot carry the channel; use sudo"
        )
    prefix, suffix = wrapped.split(inner, 1)
    return Become(prefix, suffix, plugin.success, plugin.prompt or None, plugin.get_option("become_pass") or None)


def _options(plugin_type: str, name: str, variables: Mapping[str, Any], templar: Any) -> dict[str, Any]:
    names = C.config.get_plugin_vars(plugin_type, name)
    return {name: templar.template(variables[name]) for name in names if name in variables}


def _text(word: bytes | str) -> str:
    return word.decode() if isinstance(word, bytes) else str(word)
