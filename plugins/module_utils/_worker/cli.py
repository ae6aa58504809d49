# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The worker's entry point. Private to this collection.

``attach`` is started once per host and run, through SSH, and everybody waits for it: so it goes its own way here, and
the rest of the command line (:mod:`.commandline`) is imported for other commands only.
"""

from __future__ import annotations

import os
import sys

from . import attach


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand and return the exit status."""
    arguments = sys.argv[1:] if argv is None else argv
    if arguments[:1] == ["attach"] and attach.understands(arguments[1:]):
        return attach.main(arguments[1:])
    if arguments[:1] == ["pynetbench"]:
        from .._netbench import cli

        return int(cli.main(arguments[1:], os.environ))
    from . import commandline

    return commandline.main(arguments)
