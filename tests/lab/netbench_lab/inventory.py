# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab as Ansible sees it. Pure: names and addresses in, documents out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

MAX_PER_GROUP = 126  # two hosts (one of each group) per step of the last byte
GROUPS = ("server", "client")


def names(servers: int, clients: int) -> list[str]:
    """`server1 … serverN client1 … clientM`."""
    counts = (servers, clients)
    return [f"{group}{i}" for group, count in zip(GROUPS, counts, strict=True) for i in range(1, count + 1)]


def address(host: str, subnet: str) -> str:
    """A host's address depends on its name only, so that growing a lab moves nobody."""
    match = re.fullmatch(r"(server|client)(\d+)", host)
    if not match:
        raise ValueError(f"{host!r} is not the name of a lab host")
    return f"{subnet.rsplit('.', 1)[0]}.{2 * int(match[2]) + GROUPS.index(match[1])}"


def gateway(subnet: str) -> str:
    """The control node's own address in the lab."""
    return f"{subnet.rsplit('.', 1)[0]}.1"


def ssh_options(state: Path) -> list[str]:
    """What makes ssh trust exactly the hosts of the lab, and nobody else."""
    return [
        "-o", f"UserKnownHostsFile={state / 'known_hosts'}", "-o", "GlobalKnownHostsFile=/dev/null",
        "-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes",
    ]  # fmt: skip


def document(lab_id: str, state: Path, hosts: Mapping[str, str]) -> dict[str, Any]:
    """What an inventory script prints: `hosts` is name → address."""
    variables = {
        "ansible_connection": "ssh",
        "ansible_user": "root",
        "ansible_port": 22,
        "ansible_ssh_private_key_file": str(state / "id_ed25519"),
        "ansible_ssh_common_args": " ".join(ssh_options(state)),
        "ansible_ssh_args": "-o ControlMaster=auto -o ControlPersist=60s",
        # A later lab may have the same addresses: its connections must not find the sockets of this one.
        "ansible_control_path": f"%(directory)s/{lab_id}-%%h",
        "ansible_python_interpreter": "/usr/bin/python3",
    }
    groups = {f"{group}s": {"hosts": [host for host in hosts if host.startswith(group)]} for group in GROUPS}
    return {
        "_meta": {"hostvars": {host: {"ansible_host": ip, "netbench_address": ip} for host, ip in hosts.items()}},
        "all": {"vars": variables, "children": list(groups)},
        **groups,
    }


def as_yaml(document: Mapping[str, Any]) -> str:
    """The same document as an ordinary YAML inventory (`document` is what `document()` made)."""
    hostvars = document["_meta"]["hostvars"]
    lines = ["# Made by tests/lab/lab.py; `up` writes it anew.", "---", "all:", "  vars:"]
    lines += [f"    {name}: {json.dumps(value)}" for name, value in document["all"]["vars"].items()]
    lines += ["  children:"]
    for group in document["all"]["children"]:
        lines += [f"    {group}:", "      hosts:" if document[group]["hosts"] else "      hosts: {}"]
        for host in document[group]["hosts"]:
            lines += [f"        {host}:"]
            lines += [f"          {name}: {json.dumps(value)}" for name, value in hostvars[host].items()]
    return "\n".join(lines) + "\n"


def known_hosts(keys: Mapping[str, str]) -> str:
    """Address → public key line, as the file that ssh reads."""
    return "".join(f"{ip} {' '.join(key.split()[:2])}\n" for ip, key in sorted(keys.items()))


def ssh_config(state: Path, hosts: Mapping[str, str]) -> str:
    """For a person: `ssh -F .lab/default/ssh_config server1`."""
    common = ssh_options(state)[1::2]
    lines = ["Host *", "  User root", f"  IdentityFile {state / 'id_ed25519'}"]
    lines += [f"  {option.replace('=', ' ', 1)}" for option in common]
    for host, ip in hosts.items():
        lines += [f"Host {host}", f"  HostName {ip}"]
    return "\n".join(lines) + "\n"


def split(count: int) -> tuple[int, int]:
    """Servers and clients of a lab of `count` hosts, evenly."""
    return count - count // 2, count // 2


def ordered(hosts: Iterable[str]) -> list[str]:
    """Servers first, each by number."""
    return sorted(hosts, key=lambda host: (GROUPS.index(host[:6]), int(host[6:])))
