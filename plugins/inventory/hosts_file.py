# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lists of hosts from other systems as an inventory. The files are read by ``_planning.host_files``."""

from __future__ import annotations

DOCUMENTATION = r"""
name: hosts_file
short_description: Hosts from lists that other benchmark systems use
version_added: "0.1.0"
author:
  - The netbench.orchestrator authors (@netbench-orchestrator)
description:
  - Reads the C(hosts.yaml) of netperf-orchestrate (C(name), C(address), C(role), C(ssh_user), C(ssh_port) and
    C(ssh_key)), its text files with one address per line, and the C(cluster.json) of FrankenPaxos.
  - Makes the groups C(servers) and C(clients). Hosts that are both are in the group C(both) as well. Every other role
    of a C(cluster.json) is a group of its own, and its hosts count as servers.
  - A mistake in such a file is reported with the file and the line.
  - The source is either a YAML file with the key C(plugin) and the options below, or such a list itself. For the latter
    the plugin must be enabled, before C(yaml) and C(ini), under C([inventory]) C(enable_plugins) of C(ansible.cfg).
options:
  plugin:
    description: The name of this plugin, needed in a file with options.
    type: str
    choices: [netbench.orchestrator.hosts_file]
  hosts:
    description: The path of a C(hosts.yaml), relative to the file with these options.
    type: str
  servers:
    description: The path of a text file with the servers.
    type: str
  clients:
    description: The path of a text file with the clients.
    type: str
  cluster:
    description: The path of a C(cluster.json).
    type: str
  faults:
    description:
      - Which cluster of a C(cluster.json), by the number of faults that it tolerates.
      - The default is the only one that there is.
    type: str
    env:
      - name: NETBENCH_CLUSTER_FAULTS
"""

EXAMPLES = r"""
# lists.yml, then: ansible-playbook -i lists.yml netbench.orchestrator.netperf
plugin: netbench.orchestrator.hosts_file
hosts: hosts.yaml

# Two text files, in the place of the last line.
# clients: clients.txt
# servers: servers.txt

# The machines that tolerate one fault.
# cluster: cluster.json
# faults: "1"
"""

from pathlib import Path

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import host_files
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.documents import FileProblem, read_yaml

READERS = ("hosts", "servers", "clients", "cluster")


class InventoryModule(BaseInventoryPlugin):
    NAME = "netbench.orchestrator.hosts_file"

    def verify_file(self, path):
        """Whether the file is one of those lists, or options of this plugin."""
        if not super().verify_file(path):
            return False
        return _names_us(Path(path)) or _listed(Path(path)) is not None

    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path, cache)
        source = Path(path)
        try:
            if _names_us(source):
                self._read_config_data(path)
                chosen = {kind: source.parent / self.get_option(kind) for kind in READERS if self.get_option(kind)}
            else:
                self.set_options()
                chosen = {_listed(source): source}
            hosts = _hosts(chosen, self.get_option("faults"), source)
        except FileProblem as problem:
            self.display.error(str(problem))  # Ansible keeps silent about it when the next plugin makes anything of it
            raise AnsibleParserError(str(problem)) from problem
        for host in host_files.merged(hosts):
            self._add(host, source.parent)
        for group, names in host_files.grouped(hosts).items():
            self.inventory.add_group(group)
            for name in names:
                self.inventory.add_host(name, group=group)

    def _add(self, host, folder):
        self.inventory.add_host(host.name)
        variables = {
            "ansible_host": host.address.strip("[]"),
            "ansible_user": host.user,
            "ansible_port": host.port,
            "ansible_ssh_private_key_file": str(folder / Path(host.key).expanduser()) if host.key else None,
        }
        for name, value in variables.items():
            if value is not None:
                self.inventory.set_variable(host.name, name, value)


def _hosts(chosen, faults, source):
    if not chosen:
        raise FileProblem(str(source), None, f"say which lists to read: {', '.join(READERS)}.")
    found = []
    for kind, path in chosen.items():
        content = _content(path)
        if kind == "hosts":
            found += host_files.hosts_yaml(content, str(path))
        elif kind == "cluster":
            found += host_files.cluster_json(content, str(path), faults)
        else:
            found += host_files.addresses(content, str(path), kind)
    host_files.refuse_lonely(host_files.merged(found))
    return found


def _content(path):
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = getattr(problem, "strerror", None) or "it is not a text file"
        raise FileProblem(str(path), None, f"cannot be read: {reason}.") from problem


def _names_us(path):
    if path.suffix not in (".yml", ".yaml"):
        return False
    try:
        data = read_yaml(_content(path), str(path)).data
    except FileProblem:
        return False
    return isinstance(data, dict) and data.get("plugin") == InventoryModule.NAME


def _listed(path):
    """Which of those lists a file is."""
    try:
        return host_files.kind_of(_content(path), path.name)
    except FileProblem:
        return None
