# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control node's half of ``tools_build``: takes over the cache entries that it lacks from the build host."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools.errors import ToolError
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools.store import Store


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        store = Store()
        arguments = dict(self._task.args, known=store.keys())
        result = self._execute_module(
            module_name="netbench.orchestrator.tools_build", module_args=arguments, task_vars=task_vars
        )
        pack = result.pop("pack", None)
        if pack:
            with tempfile.TemporaryDirectory() as folder:
                here = Path(folder) / "tools.tar.gz"
                self._connection.fetch_file(pack, str(here))
                self._low_level_execute_command(self._connection._shell.remove(pack), sudoable=False)
                try:
                    for key in result.pop("packed"):
                        store.unpack(key, here)
                except (ToolError, OSError, KeyError) as error:
                    raise AnsibleActionFail(f"what the build host sent cannot be used: {error}") from None
        return result
