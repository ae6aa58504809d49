#!/usr/bin/python
# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: worker_info
short_description: What the benchmark worker of a host is doing
version_added: 0.1.0
author:
  - The netbench.orchestrator authors (@netbench-orchestrator)
description:
  - Asks the worker of a host which run it has and which processes of it live, with their pids.
  - A host without a worker, or with one that does not run, is no error; then RV(running) is V(false).
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: Nothing is ever changed.
  platform:
    platforms: posix
    support: full
    details: Linux only.
options:
  mode:
    description: As in M(netbench.orchestrator.worker).
    type: str
    choices: [auto, systemd, user]
    default: auto
  instance:
    description: Name of the worker.
    type: str
    default: default
  python:
    description: The Python that runs the worker.
    type: path
  state_dir:
    description: Where a worker of mode V(user) keeps plans, journals and outputs.
    type: path
  runtime_dir:
    description: Where a worker of mode V(user) keeps its socket.
    type: path
  version_arguments:
    description:
      - With these arguments the programs of the processes print their version. Without any they are not asked.
      - They are asked as the user whose worker runs them.
    type: list
    elements: str
    default: []
seealso:
  - module: netbench.orchestrator.worker
"""

EXAMPLES = r"""
- name: What the worker does
  netbench.orchestrator.worker_info:
    mode: user
  register: result

- name: It is idle
  ansible.builtin.assert:
    that: result.processes | length == 0
"""

RETURN = r"""
running:
  description: Whether the worker answers.
  returned: success
  type: bool
run_id:
  description: The run that is going on, or null.
  returned: success
  type: str
lease_left_s:
  description: After so many seconds without a coordinator the worker ends the processes. Null without a run.
  returned: success
  type: float
processes:
  description: The processes of the run that live.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name in the workload.
      type: str
    pid:
      description: Its number on the host.
      type: int
    program:
      description: The path of its program.
      type: str
    version:
      description: What the program says its version is; empty when it says none, or was not asked.
      type: str
"""

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._installation import Installation, InstallationError


def main():
    module = AnsibleModule(
        argument_spec={
            "mode": {"choices": ["auto", "systemd", "user"], "default": "auto"},
            "instance": {"default": "default"},
            "python": {"type": "path"},
            "state_dir": {"type": "path"},
            "runtime_dir": {"type": "path"},
            "version_arguments": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    given = dict(module.params, sha256=None, units={}, account="")
    try:
        module.exit_json(changed=False, **Installation(given).processes(module.params["version_arguments"]))
    except InstallationError as error:
        module.fail_json(msg=str(error), **error.result)


if __name__ == "__main__":
    main()
