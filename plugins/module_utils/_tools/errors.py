# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with tools. Private to this collection.

``ToolError`` — anything below
├── ``SourceError``   the description of the source is wrong, or it holds no such tool
├── ``BuildError``    the build failed, or the build host lacks a program for it
└── ``HostError``     the host cannot run what was installed
"""

from __future__ import annotations


class ToolError(Exception):
    """Tools cannot be had, built or run. The message is for the person who started the playbook."""


class SourceError(ToolError):
    """The source does not say, or does not hold, what is wanted."""


class BuildError(ToolError):
    """The build host cannot build the tools."""


class HostError(ToolError):
    """The host cannot run the tools."""
