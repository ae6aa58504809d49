# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control node's half of ``worker``: builds the archive, and sends it to a host that lacks it.

The module looks first. A settled host is done with that one call; a host whose archive differs gets the file, and then
the module again, which checks it, installs it and starts the worker.
"""

from __future__ import annotations

from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._archive import Archive, ArchiveError, build

MODULE = "netbench.orchestrator.worker"


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_diff = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        try:
            archive = build()
        except (ArchiveError, OSError) as error:
            raise AnsibleActionFail(f"the worker's archive cannot be built: {error}") from error
        arguments = dict(self._task.args, sha256=archive.sha256, version=archive.version)

        result = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        if self._wants_archive(result):
            try:
                arguments["source"] = self._send(archive)
                result = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
            finally:
                self._remove_tmp_path(self._connection._shell.tmpdir)
        if become := self._connection.become:
            reached = {"become_method": become.name, "become_user": become.get_option("become_user") or "root"}
            if facts := result.get("ansible_facts", {}).get("netbench_worker"):
                facts.update(reached)
        return result

    def _wants_archive(self, result: dict[str, Any]) -> bool:
        needs = result.get("needs", [])
        return "archive" in needs and "account" not in needs and not self._task.check_mode and not result.get("failed")

    def _send(self, archive: Archive) -> str:
        """Put the archive into a temporary folder of the host, readable by the user the module runs as."""
        shell = self._connection._shell
        if not shell.tmpdir:
            self._make_tmp_path()
        remote = str(self._transfer_file(str(archive.path), shell.join_path(shell.tmpdir, "worker.pyz")))
        self._fixup_perms2([shell.tmpdir, remote])
        return remote
