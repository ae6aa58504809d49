# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control node's half of ``tools``: finds or makes the tools in the cache, and sends a host what it lacks."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools.errors import ToolError
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools.produce import known, names, package, produce
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools.source import parse
from ansible_collections.netbench.orchestrator.plugins.module_utils._tools.store import Entry, Store

MODULE = "netbench.orchestrator.tools"


class ActionModule(ActionBase):
    _supports_check_mode = True
    _supports_diff = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        given = self._task.args
        arguments = {name: given[name] for name in ("name", "state") if name in given}
        if given.get("state") == "absent":
            return self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
        store, built = Store(), []
        try:
            entries = self._entries(given, store, built)
            if entries is None:
                return {
                    "changed": True,
                    "msg": "The tools are not in the cache yet; without --check they would be built.",
                }
            wanted = {
                name: {"key": entry.key, "sha256": tool.sha256, "version": tool.version}
                for entry in entries
                for name, tool in entry.tools.items()
            }
            arguments["wanted"] = wanted
            result = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
            if result.get("lacking") and not result.get("failed") and not self._task.check_mode:
                try:
                    arguments["pack"] = self._send(store, {name: wanted[name]["key"] for name in result["lacking"]})
                    result = self._execute_module(module_name=MODULE, module_args=arguments, task_vars=task_vars)
                finally:
                    self._remove_tmp_path(self._connection._shell.tmpdir)
        except (ToolError, OSError) as error:
            raise AnsibleActionFail(f"{given.get('name', 'tools')}: {error}.") from None
        return {**result, "built": built}

    def _entries(self, given: Mapping[str, Any], store: Store, built: list[str]) -> list[Entry] | None:
        """The entries to install from; nothing when check mode forbids to make them."""
        if given.get("entries"):
            return [_present(store, key) for key in given["entries"]]
        source, packages = parse(given.get("source") or {}), [package(each) for each in given.get("packages", [])]
        names(packages)
        if self._task.check_mode:
            there = [known(each, source, store) for each in packages]
            return None if None in there else [entry for entry in there if entry]
        entries = []
        for each in packages:
            entry, made = produce(
                each,
                source,
                store,
                timeout_s=float(given.get("build_timeout_s", 3600)),
                announce=Display().display,
            )
            entries.append(entry)
            built += [each.name] if made else []
        return entries

    def _send(self, store: Store, keys: Mapping[str, str]) -> str:
        """Put the lacking tools, as one file, into a temporary folder of the host."""
        shell = self._connection._shell
        if not shell.tmpdir:
            self._make_tmp_path()
        by_key: dict[str, list[str]] = {}
        for name, key in keys.items():
            by_key.setdefault(key, []).append(name)
        with tempfile.TemporaryDirectory() as folder:
            pack = Path(folder) / "tools.tar.gz"
            store.pack(by_key, pack)
            remote = str(self._transfer_file(str(pack), shell.join_path(shell.tmpdir, pack.name)))
        self._fixup_perms2([shell.tmpdir, remote])
        return remote


def _present(store: Store, key: str) -> Entry:
    entry = store.load(str(key))
    if entry is None:
        raise ToolError(f"the control node's cache {store.root} has no entry {key}")
    return entry
