#!/usr/bin/python
# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: tools_facts
short_description: Looks for benchmark tools that a host has already
version_added: 0.1.0
author:
  - The netbench.orchestrator authors (@netbench-orchestrator)
description:
  - Finds programs by their path, or in the host's C(PATH), and says which they are by path, checksum and version.
  - The fact it sets is the one that M(netbench.orchestrator.tools) sets for tools that it has installed, so a plan
    uses either in the same way. The roles P(netbench.orchestrator.iperf3#role) and
    P(netbench.orchestrator.netperf#role) call this module.
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
  - ansible.builtin.action_common_attributes.facts
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details: Nothing is ever changed.
  facts:
    support: full
  platform:
    platforms: posix
    support: full
    details: Linux only.
options:
  name:
    description: What the tools are for. It names the fact, C(<name>_tools).
    type: str
    required: true
  programs:
    description: For each program the path of its file on the host, or an empty text to look for it in C(PATH).
    type: dict
    required: true
  sha256:
    description: For programs that have to be exactly these, the checksums.
    type: dict
    default: {}
  version_arguments:
    description: With these arguments a program prints its version. The first number with a dot in it is taken.
    type: list
    elements: str
    default: [--version]
seealso:
  - module: netbench.orchestrator.tools
"""

EXAMPLES = r"""
- name: Use the netperf that is there
  netbench.orchestrator.tools_facts:
    name: netperf
    programs: {netperf: /opt/netperf/bin/netperf, netserver: /opt/netperf/bin/netserver}
    version_arguments: [-V]
  register: result

- name: All of it is there
  ansible.builtin.assert:
    that: result.missing | length == 0
"""

RETURN = r"""
ansible_facts:
  description: One fact, C(<name>_tools), of the programs that were found.
  returned: success
  type: dict
  contains:
    netperf_tools:
      description: For each program its C(path), C(sha256) and C(version). (The example is for O(name=netperf).)
      type: dict
missing:
  description: Programs that the host does not have.
  returned: success
  type: list
  elements: str
"""

import hashlib
import os
import re
import shutil

from ansible.module_utils.basic import AnsibleModule

SEARCH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # what the worker's processes see
VERSION = re.compile(r"\d+\.\d+[\w.+-]*")


def found(name, path):
    """The path of a program's file; None when it is not there."""
    if "/" not in path:
        return shutil.which(path or name, path=SEARCH)
    return path if os.path.isfile(path) and os.access(path, os.X_OK) else None


def sha256_of(path):
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def version_of(module, path):
    """What it says its version is; empty when it says none."""
    _unused_status, out, err = module.run_command(
        [path, *module.params["version_arguments"]], environ_update={"LC_ALL": "C"}
    )
    seen = VERSION.search(out) or VERSION.search(err)
    return seen.group() if seen else ""


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"required": True},
            "programs": {"type": "dict", "required": True},
            "sha256": {"type": "dict", "default": {}},
            "version_arguments": {"type": "list", "elements": "str", "default": ["--version"]},
        },
        supports_check_mode=True,
    )
    tools, missing = {}, []
    for name, wanted in module.params["programs"].items():
        path = found(name, wanted or "")
        if path is None:
            missing.append(name)
            continue
        sha256 = sha256_of(path)
        planned = module.params["sha256"].get(name) or sha256
        if sha256 != planned:
            module.fail_json(msg=f"{path} has SHA-256 {sha256} instead of {planned}: it is not what was meant.")
        tools[name] = {"path": path, "sha256": sha256, "version": version_of(module, path)}
    module.exit_json(changed=False, missing=missing, ansible_facts={"{}_tools".format(module.params["name"]): tools})


if __name__ == "__main__":
    main()
