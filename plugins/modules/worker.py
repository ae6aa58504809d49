#!/usr/bin/python
# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: worker
short_description: Installs, upgrades and starts the benchmark worker of a host
version_added: 0.1.0
author:
  - The netbench.orchestrator authors (@netbench-orchestrator)
description:
  - Brings the worker of a host to the version of this collection and makes sure that it runs.
  - A settled host costs one light task. Only when the host's archive differs is it transferred, as one file with a
    checked SHA-256, and only then is the worker restarted.
  - A worker that is in the middle of a run is never upgraded, restarted or removed. The task fails and names the run.
  - The role P(netbench.orchestrator.worker#role) calls this module with a hardened systemd unit. It is rarely called
    directly.
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - ansible.builtin.action_common_attributes.conn
  - ansible.builtin.action_common_attributes.facts
  - ansible.builtin.action_common_attributes.flow
attributes:
  action:
    support: full
  async:
    support: none
  become:
    support: full
  bypass_host_loop:
    support: none
  check_mode:
    support: full
  connection:
    support: full
  delegation:
    support: full
  diff_mode:
    support: full
  facts:
    support: full
  platform:
    platforms: posix
    support: full
    details: Linux only.
options:
  state:
    description:
      - V(present) installs and starts the worker.
      - V(absent) stops it and removes all that this module made for the instance, its state directory included. The
        program and the unit go with the last instance.
    type: str
    choices: [present, absent]
    default: present
  end_run:
    description:
      - With O(state=absent), end a run that is going on, instead of refusing. The worker ends its processes first.
    type: bool
    default: false
  mode:
    description:
      - V(systemd) runs the worker as a service under O(account). It needs root.
      - V(user) starts the same program detached, as the connecting user. It ends by itself after O(idle_exit_s) without
        work.
      - V(auto) is V(systemd) for root on a host that was booted with systemd, and V(user) otherwise.
    type: str
    choices: [auto, systemd, user]
    default: auto
  instance:
    description: Name of the worker. Hosts of the inventory that share one machine need one instance each.
    type: str
    default: default
  account:
    description: The account that the service runs as. When it is missing, RV(needs) says so and nothing is changed.
    type: str
    default: netbench
  python:
    description:
      - The Python (3.9 or newer) that runs the worker.
      - The default is V(/usr/bin/python3) for a service, and the interpreter that runs this module otherwise.
    type: path
  units:
    description: Files below C(/etc/systemd/system) that make up the service, by name, with their content.
    type: dict
    default: {}
  idle_exit_s:
    description:
      - Seconds without a coordinator or a run after which a worker of mode V(user) ends by itself. V(0) means never.
    type: int
    default: 3600
  environment:
    description: Variables added to the environment of a worker of mode V(user).
    type: dict
    default: {}
  state_dir:
    description: Where a worker of mode V(user) keeps plans, journals and outputs.
    type: path
  runtime_dir:
    description: Where a worker of mode V(user) keeps its socket. Its owner alone may enter it.
    type: path
  sha256:
    description: Set by the action plugin, to the archive's checksum.
    type: str
  version:
    description: Set by the action plugin, to the collection's version.
    type: str
  source:
    description: Set by the action plugin, to the transferred archive.
    type: path
seealso:
  - plugin: netbench.orchestrator.coordinate
    plugin_type: module
"""

EXAMPLES = r"""
- name: Start a worker without root, on this machine
  netbench.orchestrator.worker:
    mode: user
    instance: "{{ inventory_hostname }}"
  register: result

- name: It answers now
  ansible.builtin.assert:
    that:
      - result.ansible_facts.netbench_worker.active_run is none
"""

RETURN = r"""
ansible_facts:
  description: What the coordinator needs to reach this host's worker.
  returned: when O(state=present) and nothing is missing
  type: dict
  contains:
    netbench_worker:
      description:
        - C(program), C(python), C(instance), C(mode), C(state_dir), C(runtime_dir), C(version), C(archive_sha256),
          C(active_run).
        - C(sshd_keepalive_s), the C(ClientAliveInterval) of the host's ssh server. 0 means that it never speaks by
          itself, null that it could not be found out, which may take root.
        - C(become_method) and C(become_user), when this task ran with become.
      type: dict
needs:
  description: What was missing or different before this task, V(account), V(archive), V(units) or V(service).
  returned: success
  type: list
  elements: str
removed:
  description: The files and folders that were removed.
  returned: when O(state=absent)
  type: list
  elements: str
orphaned_account:
  description: O(account), when it was made for the worker and no instance is left that needs it; otherwise empty.
  returned: when O(state=absent)
  type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._installation import Installation, InstallationError, missing
from ..module_utils._sshd import keepalive_s


def facts(installation, active_run):
    params = installation.params
    place = dict(installation.place, version=params["version"], archive_sha256=params["sha256"])
    return {"netbench_worker": dict(place, active_run=active_run, sshd_keepalive_s=keepalive_s())}


def changes(wanted, seen):
    """What ``--diff`` shows."""

    def worker(archive, running):
        return f"archive: {archive}\nservice: {'running' if running else 'not running'}\n"

    def compared(name, before, after):
        return {"before_header": name, "after_header": name, "before": before, "after": after}

    before = worker(seen["archive_sha256"], seen["running_sha256"])
    return [compared("worker", before, worker(wanted["sha256"], True))] + [
        compared(name, seen["units"].get(name, ""), content)
        for name, content in sorted(wanted["units"].items())
        if seen["units"].get(name) != content
    ]


def make_present(installation, check_mode):
    seen = installation.look()
    needs = missing(installation.wanted, seen)
    result = {"changed": bool(needs), "needs": needs, "ansible_facts": facts(installation, seen["active_run"])}
    if needs:
        result["diff"] = changes(installation.wanted, seen)
    if not needs or check_mode:
        return result
    if "account" in needs or ("archive" in needs and not installation.params["source"]):
        return {"changed": False, "needs": needs}  # the caller provides it and comes back
    installation.install()
    return dict(result, ansible_facts=facts(installation, None))


def make_absent(installation, check_mode):
    removed = installation.leftovers()
    if removed and not check_mode:
        with installation.lock():
            removed = installation.remove(end_run=installation.params["end_run"])
    return {
        "changed": bool(removed),
        "needs": [],
        "removed": removed,
        "orphaned_account": installation.orphaned_account(),
        "diff": {"before": "".join(path + "\n" for path in removed), "after": ""},
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "state": {"choices": ["present", "absent"], "default": "present"},
            "end_run": {"type": "bool", "default": False},
            "mode": {"choices": ["auto", "systemd", "user"], "default": "auto"},
            "instance": {"default": "default"},
            "account": {"default": "netbench"},
            "python": {"type": "path"},
            "units": {"type": "dict", "default": {}},
            "idle_exit_s": {"type": "int", "default": 3600},
            "environment": {"type": "dict", "default": {}},
            "state_dir": {"type": "path"},
            "runtime_dir": {"type": "path"},
            "sha256": {},
            "version": {},
            "source": {"type": "path"},
        },
        supports_check_mode=True,
    )
    make = make_absent if module.params["state"] == "absent" else make_present
    try:
        module.exit_json(**make(Installation(module.params), module.check_mode))
    except InstallationError as error:
        module.fail_json(msg=str(error), **error.result)


if __name__ == "__main__":
    main()
