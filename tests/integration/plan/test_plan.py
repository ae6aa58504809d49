# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The action ``plan`` in real plays: what is written, and how a mistake is shown, before any host is touched.

The hosts of these plays cannot be reached (nothing listens on their port), so a task that touched one would fail
differently.
"""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[3]
INVENTORY = """\
servers:
  hosts:
    s1: {netbench_address: 10.0.0.1}
    s2: {netbench_address: 10.0.0.2}
clients:
  hosts:
    c1:
      netbench_address: 10.0.0.3
all:
  vars: {ansible_connection: ssh, ansible_port: 1}
  hosts:
    s1: {ansible_host: 127.0.0.1}
    s2: {ansible_host: 127.0.0.2}
    c1: {ansible_host: 127.0.0.3}
"""
PLAY = """\
- hosts: servers:clients
  gather_facts: false
  tasks:
    - netbench.orchestrator.plan:
        suite:
          name: trial
          workload: netbench
          grid:
            driver: [tcp, s2n-tls]
          repeats: 2
        groups: {servers: servers, clients: clients}
      register: plan
      run_once: true
    - ansible.builtin.copy: {content: "{{ plan | to_json }}", dest: "{{ playbook_dir }}/plan.json"}
      delegate_to: localhost
      connection: local
      run_once: true
      check_mode: false
      vars: {ansible_python_interpreter: "{{ ansible_playbook_python }}"}
"""


class Folder:
    """A folder with a playbook and an inventory, and the way to run them."""

    def __init__(self, path):
        self.path = path
        self.playbook = "play.yml"
        self.write("inventory.yml", INVENTORY)
        self.write("play.yml", PLAY)

    def write(self, name, text):
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def edit(self, name, old, new):
        text = (self.path / name).read_text(encoding="utf-8")
        assert old in text
        self.write(name, text.replace(old, new))

    def run(self, *arguments):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")}
        environment |= {
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".collections"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_HOME": str(self.path / ".ansible"),
            "LC_ALL": "C.UTF-8",
        }
        inventory, playbook = (str(self.path / name) for name in ("inventory.yml", self.playbook))
        command = [sys.executable, "-m", "ansible", "playbook", "-i", inventory, playbook, *arguments]
        return subprocess.run(
            command, cwd=self.path, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    def refused(self, *arguments):
        """The output of a play that fails at the plan, on one line."""
        done = self.run(*arguments)
        output = done.stdout + done.stderr
        assert done.returncode == 2, output
        assert "UNREACHABLE" not in output
        assert not list(self.path.glob("results/*/plan.json"))
        return re.sub(r"\s+", " ", output)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_plan_is_written_for_its_owner(folder):
    done = folder.run()
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((folder.path / "plan.json").read_text(encoding="utf-8"))
    path = Path(result["path"])
    assert re.fullmatch(r"\d{8}T\d{6}Z-trial-[a-z0-9]{4}", result["run_id"])
    assert path == folder.path / "results" / result["run_id"] / "plan.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    document = json.loads(path.read_text(encoding="utf-8"))
    assert document["sha256"] == result["sha256"]
    assert (result["samples"], len(document["samples"])) == (4, 4)
    assert document["groups"] == {"servers": ["s1", "s2"], "clients": ["c1"]}
    assert document["workers"]["c1"]["address"] == "10.0.0.3"


def test_check_mode_shows_and_writes_nothing(folder):
    done = folder.run("--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 samples, seed 1" in done.stdout
    assert "CLIENT_ID=0" in done.stdout
    assert "SERVER_1=10.0.0.2:4433 s2n-netbench-driver-client-tcp --tx-buffer=0B scenario.json" in done.stdout
    assert "s2n-netbench-driver-server-s2n-tls" in done.stdout
    assert not (folder.path / "results").exists()


def test_secrets_are_not_shown(folder):
    folder.edit("inventory.yml", "c1:\n", "c1:\n      netbench_secret_environment: {TOKEN: canary-1}\n")
    done = folder.run("--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "TOKEN=********" in done.stdout
    assert "canary-1" not in done.stdout + done.stderr


def test_a_run_is_taken_up_under_its_name(folder):
    folder.edit("play.yml", "groups: {", "run_id: nightly\n        groups: {")
    first, second = folder.run(), folder.run()
    assert "changed=2" in first.stdout
    assert second.returncode == 0, second.stdout + second.stderr
    assert json.loads((folder.path / "plan.json").read_text(encoding="utf-8"))["changed"] is False
    folder.edit("play.yml", "repeats: 2", "repeats: 3")
    third = folder.run()
    assert third.returncode == 2
    assert "is the plan of another run; choose another run_id." in third.stdout + third.stderr


def test_groups_of_another_name_and_files_beside_the_playbook(folder):
    folder.edit("inventory.yml", "servers:", "backend:")
    folder.edit("play.yml", "hosts: servers:clients", "hosts: all")
    folder.edit("play.yml", "{servers: servers, clients: clients}", "{callee: backend, caller: [c1]}")
    folder.edit("play.yml", "workload: netbench", "workload: pair")
    folder.edit("play.yml", "driver: [tcp, s2n-tls]", "text: [$HOME, '${caller.name}']")
    workload = {
        "name": "pair",
        "expected_duration": 1,
        "parameters": {"text": {"type": "text", "description": "d", "template": True}},
        "groups": {
            "callee": {"processes": {"p": {"command": ["cat"]}}, "stop": {"rule": "signal"}},
            "caller": {"processes": {"p": {"command": ["echo", "${text}"]}}},
        },
    }
    folder.write("workloads/pair.yml", yaml.safe_dump(workload, sort_keys=False))
    done = folder.run("--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "echo '$HOME'" in done.stdout
    assert "echo c1" in done.stdout


def test_files_in_the_current_folder_for_a_playbook_from_elsewhere(folder):
    folder.write("elsewhere/play.yml", (folder.path / "play.yml").read_text(encoding="utf-8"))
    folder.playbook = "elsewhere/play.yml"
    folder.write("suites/mine.yml", "workload: netbench\nseed: 99\nparameters: {scenario_file: here.json}\n")
    folder.write("here.json", "{}")
    inline = PLAY[PLAY.index("        suite:") : PLAY.index("        groups")]
    folder.edit("elsewhere/play.yml", inline, "        suite: mine\n")
    output = folder.refused()
    assert "suite.parameters.scenario_file: the scenario here.json: the key 'id' is missing; add it." in output
    assert "suites/mine.yml:3" in output


# Bad input, one of each kind. `file:line` is where the user wrote what is wrong.


def test_broken_yaml(folder):
    folder.write("suites/broken.yml", "name: trial\nworkload: [netbench\nrepeats: 1\n")
    folder.edit(
        "play.yml", PLAY[PLAY.index("        suite:") : PLAY.index("        groups")], "        suite: broken\n"
    )
    output = folder.refused()
    assert "YAML parsing failed" in output
    assert re.search(r"suites/broken\.yml:[23]", output)


@pytest.mark.parametrize(
    ("old", "new", "message", "line"),
    [
        ("repeats: 2", "repeat: 2", "suite.repeat: unknown key 'repeat'. Did you mean 'repeats'?", 10),
        (
            "driver: [tcp, s2n-tls]",
            "driver: [tcp, s2n-quik]",
            "'s2n-quik' is not known here. Did you mean 's2n-quic'?",
            9,
        ),
        (
            "driver: [tcp, s2n-tls]",
            "response_size: [1MB, 10 apples]",
            "suite.grid.response_size[1]: '10 apples' is no amount of data; write for example",
            9,
        ),
        ("repeats: 2", "repeats: two", "suite.repeats: expected a whole number, got text.", 10),
        ("repeats: 2", "max_start_skew: 10 parsecs", "suite.max_start_skew: '10 parsecs' is no duration", 10),
        ("workload: netbench", "workload: netbnech", "there is no workload 'netbnech'. Did you mean 'netbench'?", 7),
        (
            "clients: clients}",
            "clients: clinets}",
            "there is no group or host 'clinets' in the inventory. Did you mean",
            11,
        ),
        ("clients: clients}", "clients: [c1, s2]}", "groups.clients[1]: the host s2 is in servers too.", 11),
        ("clients: clients}", "clients: [c1, c1]}", "groups.clients[1]: the host c1 is there twice.", 11),
        ("groups: {", "results: play.yml\n        groups: {", "the results folder", 11),
        ("groups: {", "result: here\n        groups: {", "unknown key 'result'. Did you mean 'results'?", 11),
    ],
)
def test_mistakes_in_the_playbook(folder, old, new, message, line):
    folder.edit("play.yml", old, new)
    output = folder.refused()
    assert message in output
    assert f"play.yml:{line}" in output


def test_scenario_made_for_other_hosts(folder):
    scenario = {
        "id": "x",
        "clients": [
            {"scenario": [{"connect": connect}], "connections": [{"ops": []}]} for connect in (CONNECT, CONNECT)
        ],
        "servers": [{"connections": [{}], "private_key": 0, "certificate": 0, "certificate_authority": 0}],
    }
    folder.write("files/mine.json", json.dumps(scenario))
    folder.edit("play.yml", "grid:", "parameters: {scenario_file: mine.json}\n          grid:")
    output = folder.refused()
    assert "the scenario mine.json: servers: the scenario is made for 1 servers, but there are 2 hosts" in output
    assert "play.yml:8" in output


CONNECT = {"server_id": 0, "server_connection_id": 0, "client_connection_id": 0}


def test_mistake_in_the_inventory(folder):
    folder.edit("inventory.yml", "netbench_address: 10.0.0.3", "netbench_port: 99999")
    output = folder.refused()
    assert "hosts.c1.netbench_port: expected at most 65535, got 99999." in output
    assert "inventory.yml:8" in output


def test_two_servers_at_one_address(folder):
    folder.edit("inventory.yml", "netbench_address: 10.0.0.2", "netbench_address: 10.0.0.1")
    output = folder.refused()
    assert "s2 (main) and s1 (main) would both listen on tcp port 4433 of 10.0.0.1." in output
    assert "inventory.yml:4" in output


def test_mistake_in_a_workload_file(folder):
    workload = "name: own\ngroups:\n  servers:\n    processes:\n      p:\n        comand: [x]\n"
    folder.write("workloads/own.yml", workload)
    folder.edit("play.yml", "workload: netbench", "workload: own")
    output = folder.refused()
    assert "workload.groups.servers.processes.p.comand: unknown key 'comand'. Did you mean 'command'?" in output
    assert "workloads/own.yml:6" in output


def test_results_folder_not_writable(folder):
    folder.edit("play.yml", "groups: {", "results: /proc/results\n        groups: {")
    assert "the results folder /proc/results is not writable" in folder.refused()
    folder.edit("play.yml", "/proc/results", "play.yml")
    assert "play.yml is not writable" in folder.refused("--check")


def test_the_free_strategy_is_refused(folder):
    """By Ansible itself, for every action that takes all hosts at once."""
    folder.edit("play.yml", "  gather_facts: false", "  gather_facts: false\n  strategy: free")
    done = folder.run()
    assert done.returncode == 1
    assert "not supported in the free strategy" in done.stderr


def test_serial_is_refused(folder):
    folder.edit("play.yml", "  gather_facts: false", "  gather_facts: false\n  serial: 1")
    assert "remove 'serial'" in folder.refused()


def test_a_host_lost_earlier_is_named(folder):
    lost = "  tasks:\n    - ansible.builtin.fail: {msg: lost}\n      when: inventory_hostname == 's2'\n"
    folder.edit("play.yml", "  tasks:\n", lost)
    assert "lost earlier in this play: s2." in folder.refused()


def test_a_host_outside_of_the_play_is_named(folder):
    folder.edit("play.yml", "{servers: servers, clients: clients}", "{servers: [s1, s2], clients: clients}")
    output = folder.refused("--limit", "s1,c1")
    assert "the host s2 is not in this play" in output
