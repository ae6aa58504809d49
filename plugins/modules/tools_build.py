#!/usr/bin/python
# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: tools_build
short_description: Builds benchmark tools on this host, and brings them to the control node
version_added: 0.1.0
author:
  - The netbench.orchestrator authors (@netbench-orchestrator)
description:
  - For binaries that have to be built elsewhere than on the control node, because of the architecture or the C library.
  - Builds (or collects) each package once, into the cache of the connecting user on the host that runs this, and copies
    the entries that the control node lacks into its own cache. There, M(netbench.orchestrator.tools) finds them.
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
    support: none
  facts:
    support: none
  platform:
    platforms: posix
    support: full
    details: Linux only.
options:
  known:
    description: Set by the action plugin, to the keys of the entries that the control node has.
    type: list
    elements: str
    default: []
seealso:
  - module: netbench.orchestrator.tools
"""

EXAMPLES = r"""
- name: Build on the host with the oldest C library
  netbench.orchestrator.tools_build:
    source:
      kind: crates
      version: 0.1.0
    packages:
      - name: s2n-netbench-driver-tcp
        tools: [s2n-netbench-driver-client-tcp, s2n-netbench-driver-server-tcp]
        programs: [cc]
  delegate_to: old-distribution
  register: build

- name: The control node has it now
  ansible.builtin.assert:
    that:
      - build.entries | length == 1
"""

RETURN = r"""
entries:
  description: Keys of the cache entries, one for each package.
  returned: success, except in check mode when they would have to be built
  type: list
  elements: str
built:
  description: Packages that were built or collected now.
  returned: success
  type: list
  elements: str
"""

import os
import tempfile
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ..module_utils._tools.errors import ToolError
from ..module_utils._tools.options import SOURCE_OPTIONS
from ..module_utils._tools.produce import known, names, package, produce
from ..module_utils._tools.source import parse
from ..module_utils._tools.store import Store


def ensure(module):
    given, store, built = module.params, Store(), []
    source, packages = parse(given["source"] or {}), [package(each) for each in given["packages"]]
    names(packages)
    if module.check_mode and not all(known(each, source, store) for each in packages):
        return {"changed": True, "built": []}
    entries = []
    for each in packages:
        entry, made = produce(each, source, store, timeout_s=float(given["build_timeout_s"]))
        entries.append(entry)
        built += [each.name] if made else []
    lacking = {entry.key: list(entry.tools) for entry in entries if entry.key not in given["known"]}
    result = {"changed": bool(built), "built": built, "entries": [entry.key for entry in entries]}
    if lacking and not module.check_mode:
        handle, pack = tempfile.mkstemp(dir=store.folder("packs"), suffix=".tar.gz")
        os.close(handle)
        store.pack(lacking, Path(pack))
        result.update(pack=pack, packed=list(lacking))
    return result


def main():
    spec = {**SOURCE_OPTIONS, "known": {"type": "list", "elements": "str", "default": [], "no_log": False}}
    module = AnsibleModule(argument_spec=spec, supports_check_mode=True)
    try:
        module.exit_json(**ensure(module))
    except (ToolError, OSError) as error:
        module.fail_json(msg=f"{error}.")


if __name__ == "__main__":
    main()
