# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report as a task on the control node. See the module of the same name for its documentation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.color import ANSIBLE_COLOR
from ansible.utils.display import Display
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.text import (
    ANSIBLE_SAYS,
    MESSAGE_COLUMNS,
    fitted,
)
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results import folder as folders
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.errors import ResultsError
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.expectations import HOLDS
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.publish import Published, publish
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.summary import OK, UNEXPECTED, headline
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.table import render

display = Display()


class ActionModule(ActionBase):
    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _requires_connection = False
    _supports_check_mode = True
    _supports_async = False
    _VALID_ARGS = frozenset(("run", "results", "fail"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _unused, arguments = self.validate_argument_spec(
            {
                "run": {"type": "str", "default": folders.LATEST},
                "results": {"type": "path", "default": "results"},
                "fail": {"type": "bool", "default": True},
            }
        )
        if self._task.check_mode:
            return {"changed": False, "skipped": True, "msg": "check mode: nothing was run, nothing is written"}
        try:
            published = publish(folders.find(str(arguments["run"]), Path(str(arguments["results"]))))
        except ResultsError as error:
            raise AnsibleActionFail(str(error), obj=self._task.args.get("run")) from error
        for warning in published.warnings:
            display.warning(warning)
        width = max(80, display.columns)
        display.display("\n" + render(published.summary, published.measured, width=width, colour=ANSIBLE_COLOR))
        return _result(published, fail=bool(arguments["fail"]))


def _result(published: Published, *, fail: bool) -> dict[str, Any]:
    folder, verdict = published.folder, published.summary.verdict
    figures = headline(published.summary)
    result = {
        "changed": published.changed,
        "run_id": published.summary.run.run_id,
        "verdict": verdict,
        "folder": str(folder.path),
        "samples": str(folder.samples),
        "summary": str(folder.summary),
        "manifest": str(folder.manifest),
        "report": str(published.report) if published.report else None,
        "headline": figures,
        "ansible_stats": {"data": {"netbench": figures}, "per_host": False, "aggregate": False},
    }
    display.display(f"results  {published.report or folder.path}\n")
    if fail and verdict != OK:
        result |= {"failed": True, "msg": _message(published)}
    return dict(json.loads(json.dumps(result)))  # plain types, whatever the parameters were tagged with


def _message(published: Published) -> str:
    summary = published.summary
    if summary.verdict == UNEXPECTED:
        broken = "; ".join(each.why for each in summary.judgements if each.verdict != HOLDS)
        return (
            f"Run {summary.run.run_id} is not as expected: {broken}. Everything that was measured is in"
            f" {published.folder.path}. To accept such a run, set 'fail: false'."
        )
    short = [point for point in summary.points if point.verdict != OK]
    lines = [
        f"point {point.point}: {len(point.used)} of {point.wanted} ok samples"
        + "".join(f"; sample {e.sample.key} {e.sample.verdict}: {e.sample.reason}" for e in point.excluded[-1:])
        for point in short[:5]
    ]
    why = "; ".join(lines) or "no sample was taken"
    return fitted(
        f"run {summary.run.run_id} {summary.verdict}: {why}. "
        f"Everything that was measured is in {published.folder.path}. To accept such a run, set 'fail: false'.",
        columns=MESSAGE_COLUMNS,
        first=ANSIBLE_SAYS,
    )
