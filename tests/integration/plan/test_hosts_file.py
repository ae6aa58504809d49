# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin, as ansible-inventory sees it: given its options, and given the lists themselves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PLUGIN = "plugin: netbench.orchestrator.hosts_file\n"


def listed(*sources: Path, **environment: str) -> tuple[dict, str]:
    """What ansible-inventory makes of the sources, and what it says."""
    program = Path(sys.executable).parent / "ansible-inventory"
    command = [str(program), *(word for source in sources for word in ("-i", str(source))), "--list"]
    env = os.environ | {"ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")} | environment
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=env, check=True)
    return json.loads(done.stdout), done.stderr


def test_lists_of_all_kinds_and_their_options(tmp_path):
    (tmp_path / "hosts.yaml").write_text(
        "hosts:\n- {name: a, address: 198.18.1.1, role: server, ssh_user: bench, ssh_port: 22, ssh_key: keys/id}\n"
    )
    (tmp_path / "clients.txt").write_text("198.18.1.3 # first\n198.18.1.2\n")
    (tmp_path / "options.yml").write_text(f"{PLUGIN}hosts: hosts.yaml\nclients: clients.txt\n")
    for sources in ([tmp_path / "options.yml"], [tmp_path / "hosts.yaml", tmp_path / "clients.txt"]):
        found, said = listed(*sources)
        assert found["servers"]["hosts"] == ["a"], said
        assert found["clients"]["hosts"] == ["198.18.1.3", "198.18.1.2"]
        variables = found["_meta"]["hostvars"]["a"]  # texts of other people's files are never templates
        plain = {
            name: value["__ansible_unsafe"] if isinstance(value, dict) else value for name, value in variables.items()
        }
        assert plain == {
            "ansible_host": "198.18.1.1",
            "ansible_user": "bench",
            "ansible_port": 22,
            "ansible_ssh_private_key_file": str(tmp_path / "keys/id"),
        }


def test_a_mistake_is_said_with_file_and_line(tmp_path):
    (tmp_path / "cluster.json").write_text('{"1": {"clients": ["x"],\n"replicas": ["y", "y"]}, "2": {"r": ["z"]}}')
    said = listed(tmp_path / "cluster.json", NETBENCH_CLUSTER_FAULTS="1")[1]
    assert f"{tmp_path}/cluster.json:2: the address y is in line 2 already." in said
    (tmp_path / "hosts.yaml").write_text("")
    assert f"{tmp_path}/hosts.yaml: the file is empty." in listed(tmp_path / "hosts.yaml")[1]
    (tmp_path / "options.yml").write_text(f"{PLUGIN}servers: none.txt\n")
    said = listed(tmp_path / "options.yml")[1]
    assert f"{tmp_path}/none.txt: cannot be read: No such file or directory." in said
