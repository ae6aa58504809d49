#!/usr/bin/python
# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: tools
short_description: Installs benchmark tools that were built or found once on a host
version_added: 0.1.0
author:
  - The netbench.orchestrator authors (@netbench-orchestrator)
description:
  - Puts programs onto a host by checksum. Where they come from is a O(source), which is built or collected once, on
    the control node, into a content-addressed cache (C(~/.cache/netbench-orchestrator/tools)).
  - A host that has them already costs one light task. Otherwise what it lacks is sent as one file.
  - Before a program is put in place, the host checks that it can run it (architecture, loader, libraries, glibc).
  - The role P(netbench.orchestrator.netbench#role) calls this module.
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - ansible.builtin.action_common_attributes.conn
  - ansible.builtin.action_common_attributes.facts
  - ansible.builtin.action_common_attributes.flow
  - netbench.orchestrator.tools
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
    details: In check mode nothing is built. Tools that are not in the cache count as a change.
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
  name:
    description: What the tools are for. It names their folder and the fact, C(<name>_tools).
    type: str
    required: true
  state:
    description: V(absent) removes every version of the tools of this O(name).
    type: str
    choices: [present, absent]
    default: present
  entries:
    description:
      - Keys of cache entries to install from, as M(netbench.orchestrator.tools_build) gave them, instead of O(source).
    type: list
    elements: str
  wanted:
    description: Set by the action plugin, to the programs, their keys and checksums.
    type: dict
    default: {}
  pack:
    description: Set by the action plugin, to the file with the programs.
    type: path
seealso:
  - module: netbench.orchestrator.tools_build
"""

EXAMPLES = r"""
- name: Install ready binaries of a transport of one's own
  netbench.orchestrator.tools:
    name: netbench
    source:
      kind: prebuilt
      path: "{{ playbook_dir }}/bin"
    packages:
      - name: mine
        tools: [s2n-netbench-driver-client-mine, s2n-netbench-driver-server-mine]
  register: result

- name: They are where the fact says
  ansible.builtin.assert:
    that:
      - result.ansible_facts.netbench_tools['s2n-netbench-driver-client-mine'].path is match('/.*/netbench/.*')
"""

RETURN = r"""
ansible_facts:
  description: One fact, C(<name>_tools).
  returned: when O(state=present)
  type: dict
  contains:
    netbench_tools:
      description: For each program its C(path), C(sha256) and C(version). (The example is for O(name=netbench).)
      type: dict
lacking:
  description: Programs that the host did not have before.
  returned: when O(state=present)
  type: list
  elements: str
built:
  description: Packages that were built or collected for this task, rather than found in the cache.
  returned: when O(state=present)
  type: list
  elements: str
"""

import shutil
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._tools import host
from ..module_utils._tools.errors import ToolError
from ..module_utils._tools.options import SOURCE_OPTIONS


def make_present(folder, name, wanted, pack, check_mode):
    lacking = host.lacking(folder, wanted)
    result = {"changed": bool(lacking), "lacking": lacking}
    if lacking and not check_mode:
        if not pack:
            return {"changed": False, "lacking": lacking}  # the action plugin sends it and comes back
        host.install(folder, Path(pack), {tool: wanted[tool] for tool in lacking})
    after = "".join(f"{host.place(folder, tool, wanted[tool])}\n" for tool in lacking)
    result["diff"] = {"before": "", "after": after}
    return dict(result, ansible_facts={f"{name}_tools": host.facts(folder, wanted)})


def make_absent(folder, check_mode):
    there = folder.is_dir()
    before = "".join(f"{path}\n" for path in sorted(folder.glob("*/*"))) if there else ""
    if there and not check_mode:
        shutil.rmtree(folder)
        for parent in (folder.parent, folder.parent.parent):
            if not any(parent.iterdir()):
                parent.rmdir()
    return {"changed": there, "diff": {"before": before, "after": ""}}


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"required": True},
            "state": {"choices": ["present", "absent"], "default": "present"},
            "entries": {"type": "list", "elements": "str", "no_log": False},
            **SOURCE_OPTIONS,
            "wanted": {"type": "dict", "default": {}},
            "pack": {"type": "path"},
        },
        supports_check_mode=True,
    )
    given = module.params
    folder = host.root(given["name"])
    try:
        if given["state"] == "absent":
            module.exit_json(**make_absent(folder, module.check_mode))
        module.exit_json(**make_present(folder, given["name"], given["wanted"], given["pack"], module.check_mode))
    except (ToolError, OSError) as error:
        module.fail_json(msg=f"{error}.")


if __name__ == "__main__":
    main()
