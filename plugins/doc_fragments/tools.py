# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


class ModuleDocFragment:
    """What the modules that have to do with tools say alike."""

    DOCUMENTATION = r"""
options:
  source:
    description:
      - Where the tools come from.
      - Used on the control node only. No part of it is sent to a host, and credentials in a URL are never shown.
    type: dict
    suboptions:
      kind:
        description:
          - V(prebuilt) takes ready binaries from O(source.path), or O(source.url) with O(source.sha256).
          - V(crates) builds the O(source.version) that the Rust registry has, with its lock file.
          - V(git) builds O(source.ref) of O(source.url).
          - V(path) builds the tree at O(source.path).
        type: str
        required: true
        choices: [prebuilt, crates, git, path]
      path:
        description: A file, a folder or a tar archive of binaries, or a source tree.
        type: str
      url:
        description:
          - An address. A user and password or token in it is used, and stripped from all that is written or shown.
        type: str
      sha256:
        description: The checksum of what O(source.url) or O(source.path) gives.
        type: str
      version:
        description: An exact version of the packages. For V(prebuilt), what to call them.
        type: str
      ref:
        description: A commit, tag or branch.
        type: str
  packages:
    description: What is built together.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Name of the package.
        type: str
        required: true
      tools:
        description: The programs in it that are wanted.
        type: list
        elements: str
        required: true
      programs:
        description: Programs that its build needs.
        type: list
        elements: str
        default: []
  build_timeout_s:
    description: Seconds that building one package may take.
    type: int
    default: 3600
"""
