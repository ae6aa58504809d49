# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The coordinator as a task: one task walks a whole run. See the module of the same name for its documentation."""

from __future__ import annotations

import asyncio
import json
import os
import platform
from dataclasses import replace
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.release import __version__ as ansible_version
from ansible.utils.display import Display
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol.schema import SchemaError
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._archive import collection_root, collection_version
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.connections import endpoint
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.coordinator import (
    Coordinator,
    Options,
)
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.endpoint import Endpoint
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.errors import (
    CoordinatorError,
    Interrupted,
)
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.outcome import Outcome
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.progress import Progress
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.screen import Screen
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.silence import CHOICES
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.text import (
    ANSIBLE_SAYS,
    MESSAGE_COLUMNS,
    fitted,
)
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.plan import RunPlan, Step, read
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.versions import in_short
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results import folder as folders
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.errors import ResultsError
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.publish import publish

display = Display()


class ActionModule(ActionBase):
    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False
    _VALID_ARGS = frozenset(("plan", "steps", "until", "lease", "channel"))

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self._variables = task_vars or {}
        _unused, arguments = self.validate_argument_spec(
            {
                "plan": {"type": "raw", "required": True},
                "steps": {"type": "list", "elements": "dict"},
                "until": {"type": "str"},
                "lease": {"type": "float", "default": 30.0},
                "channel": {"type": "str", "choices": list(CHOICES), "default": "auto"},
            }
        )
        if self._task.check_mode:
            return {"changed": False, "skipped": True, "msg": "check mode: the plan was shown, no process is touched"}
        folder, plan = self._read(arguments["plan"])
        plan = self._with_steps(plan, arguments["steps"])
        self._check_until(plan, arguments["until"])
        absent = self._absent(plan)
        options = Options(until=arguments["until"], lease_s=arguments["lease"], channel=arguments["channel"])
        progress = self._progress(plan)
        try:
            endpoints = self._endpoints(plan, absent)
            coordinator = Coordinator(
                plan,
                folder=folder,
                endpoints=endpoints,
                progress=progress,
                options=options,
                absent=dict.fromkeys(absent, "it failed earlier in this play"),
                versions={
                    "collection": collection_version(collection_root()),
                    "ansible-core": ansible_version,
                    "python": platform.python_version(),
                    "tool_versions": in_short(plan.versions),
                },
            )
            outcome = asyncio.run(coordinator.run())
        except CoordinatorError as problem:
            if isinstance(problem, Interrupted):
                progress.note(f"run {plan.run_id}: {problem}")
            return _failed(str(problem), {"run_id": plan.run_id, "folder": str(folder)})
        finally:
            progress.end()
        if outcome.interrupted:  # no later task will report: ansible-playbook does not wait
            progress.note(f"run {plan.run_id} {outcome.verdict}: {outcome.reason}; {self._report(folder)}")
        return self._result(plan, folder, outcome)

    def _report(self, folder: Path) -> str:
        try:
            publish(folders.find(folder.name, folder.parent))
        except ResultsError as problem:
            return f"what was measured is in {folder}, without a report: {problem}"
        return f"what was measured is in {folder}/report.html"

    def _read(self, value: Any) -> tuple[Path, RunPlan]:
        path = value.get("path") if isinstance(value, dict) else value
        if not isinstance(path, str):
            raise self._fail(
                "'plan' must be what netbench.orchestrator.plan has returned, or the path of a plan.json", obj=value
            )
        try:
            return Path(path).parent, read(Path(path))
        except OSError as problem:
            raise self._fail(f"the plan cannot be read: {problem}", obj=value) from problem
        except SchemaError as problem:
            raise self._fail(f"{path}: {problem}", obj=value) from problem

    def _with_steps(self, plan: RunPlan, steps: list[dict[str, Any]] | None) -> RunPlan:
        if steps is None:
            return plan
        known = {(name, state) for name, group in plan.workload["groups"].items() for state in group["states"]}
        chosen = []
        for each in steps:
            step = (each.get("group"), each.get("state"))
            if set(each) != {"group", "state"} or step not in known:
                names = ", ".join(f"{group}/{state}" for group, state in sorted(known))
                raise self._fail(
                    f"there is no step {dict(each)!r}; a step is {{group, state}}, one of {names}", obj=each
                )
            chosen.append(Step(*(str(word) for word in step)))
        return replace(plan, steps=tuple(chosen))

    def _check_until(self, plan: RunPlan, until: str | None) -> None:
        states = list(dict.fromkeys(step.state for step in plan.steps))
        if until is not None and until not in states:
            raise self._fail(f"no step has the state {until!r}, which is 'until'; they have {', '.join(states)}", until)

    def _absent(self, plan: RunPlan) -> list[str]:
        """Planned hosts that this play has not. A benchmark that is silently smaller than planned is wrong; of a matrix
        their pairs are lost, and not silently."""
        here = list(self._variables.get("ansible_play_hosts", []))
        if list(self._variables.get("ansible_play_batch", here)) != here:
            raise self._fail(
                "this play has 'serial', so its hosts come in batches; a barrier needs all of them: remove 'serial'"
            )
        lost = [host for host in plan.workers if host not in here]
        if lost and not plan.is_matrix:
            raise self._fail(
                f"planned hosts are not in this play any more: {', '.join(lost)}. "
                "They failed earlier, or the play has other hosts; repair them and run again"
            )

        return lost

    def _endpoints(self, plan: RunPlan, absent: list[str]) -> dict[str, Endpoint]:
        hostvars = self._variables["hostvars"]
        first = hostvars[self._variables["inventory_hostname"]]
        own = {*first, *C.MAGIC_VARIABLE_MAPPING["remote_addr"]}  # core fills in the address of the first host
        of_the_play = {name: value for name, value in self._variables.items() if name not in own}
        return {
            host: endpoint(
                host,
                variables={**of_the_play, **hostvars[host]},
                templar=self._templar,
                task=self._task,
                play_context=self._play_context,
                address=worker.address,
            )
            for host, worker in plan.workers.items()
            if host not in absent
        }

    def _progress(self, plan: RunPlan) -> Progress:
        screen = Screen(os.getppid())

        def show(text: str, live: bool) -> None:
            if screen.is_terminal:
                display.display(f"\r{text if live else ''}\033[K", newline=False, screen_only=True)
            if not live:
                shown = fitted(text, screen.columns()) if screen.is_terminal else text
                display.display(shown, stderr=not screen.is_terminal)

        return Progress(
            show=show,
            groups={group: len(hosts) for group, hosts in plan.groups.items()},
            samples=len(plan.samples),
            columns=screen.columns if screen.is_terminal else None,
            direct=lambda text, live: screen.write(text),
            expected_s=[plan.points[sample.point].expected_s or 0.0 for sample in plan.samples],
        )

    def _result(self, plan: RunPlan, folder: Path, outcome: Outcome) -> dict[str, Any]:
        problems = [f"{c.host}: {c.problem}" for c in outcome.collected if c.problem and c.host not in outcome.missing]
        result = {
            "changed": True,
            "run_id": plan.run_id,
            "folder": str(folder),
            "verdict": outcome.verdict,
            "reason": outcome.reason,
            "resumed": outcome.resumed,
            "paused": outcome.verdict == "paused",
            "missing": outcome.missing,
            "samples": [
                {name: line[name] for name in ("sample", "attempt", "verdict", "reason", "start_skew_us", "window_s")}
                for line in outcome.samples
            ],
        }
        if outcome.verdict not in ("ok", "paused"):
            return _failed(f"run {plan.run_id} {outcome.verdict}: {outcome.reason}", result)
        if problems:
            later = any(c.unreachable and c.host not in outcome.missing for c in outcome.collected)
            advice = "; it is still there, and the same command will fetch it" if later else ""
            return _failed(
                f"run {plan.run_id}: not everything could be fetched{advice}:\n  " + "\n  ".join(problems), result
            )
        return result

    def _fail(self, message: str, obj: Any = None) -> AnsibleActionFail:
        """Of a mistake in the playbook, where ``obj`` is."""
        return AnsibleActionFail(message, obj=self._task.args.get("plan") if obj is None else obj)


def _failed(message: str, result: dict[str, Any]) -> dict[str, Any]:
    """A run that went wrong, which is nobody's line in a playbook: no exception, whose origins Ansible would show."""
    plain: dict[str, Any] = json.loads(json.dumps(result))
    return {**plain, "failed": True, "msg": fitted(message, columns=MESSAGE_COLUMNS, first=ANSIBLE_SAYS)}
