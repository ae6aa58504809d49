# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a run as a task: suite and workload are checked and expanded here, and no host is touched.

See the module of the same name for its documentation.
"""

from __future__ import annotations

import os
import secrets
import string
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible import constants as C
from ansible.errors import AnsibleActionFail, AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import schema
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol.plan import NAME
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol.schema import Path as Place
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol.schema import SchemaError
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.record import unfinished
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import (
    inventory,
    profile,
    versions,
    workload,
)
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.blame import blamed
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.documents import FileProblem
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.expansion import expand
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.hosts import Host
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.plain import plain
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.plan import (
    FILE_NAME,
    RunPlan,
    read,
    to_json,
)
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.table import describe

display = Display()

ARGUMENTS = schema.Record(
    suite=schema.either(text=schema.text(minimum=1), mapping=schema.anything),
    workload=(schema.optional(schema.either(text=schema.text(minimum=1), mapping=schema.anything)), None),
    groups=(schema.optional(schema.mapping_of(schema.anything)), None),
    results=(schema.text(minimum=1), "results"),
    run_id=(schema.optional(NAME), None),
    resume=(NAME, "auto"),  # auto | never | the name of a run
    steps=(schema.anything, None),
)


class ActionModule(ActionBase):
    BYPASS_HOST_LOOP = True
    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        self._variables = task_vars or {}
        self._documents: dict[str, Any] = dict(self._task.args)
        try:
            return self._planned(ARGUMENTS(self._task.args, ()))
        except SchemaError as problem:
            # its message says everything; Ansible would add those of a chain behind it
            raise AnsibleActionFail(str(problem), obj=blamed(self._documents, problem)) from None

    def _planned(self, arguments: dict[str, Any]) -> dict[str, Any]:
        suite = self._with_profile(self._loaded("suite", arguments["suite"]))
        chosen = self._loaded("workload", arguments["workload"] or suite.get("workload"))
        groups, hosts = self._hosts(arguments["groups"], chosen, whole=not suite.get("matrix"))
        created = time.gmtime()
        results = Path(arguments["results"]).expanduser().absolute()
        asked_for = _asked_for(arguments["run_id"], arguments["resume"], results)
        plain_suite = {"name": chosen.get("name"), **plain({**suite, "workload": None}, ("suite",))}
        plan = expand(
            suite=plain_suite,
            workload=plain(chosen, ("workload",)),
            groups=groups,
            hosts=hosts,
            run_id=asked_for or _new_run_id(str(plain_suite["name"]), created),
            created_utc=time.strftime("%Y-%m-%dT%H:%M:%SZ", created),
            steps=plain(arguments["steps"], ("steps",)),
            read_file=self._read_file,
        )
        left = _left(plan, results) if not asked_for and arguments["resume"] == "auto" else None
        plan, folder = left or (plan, results / plan.run_id)
        if self._task.check_mode:
            _check_writable(folder)
            if left:
                display.display(f"takes up {folder.name}, which was left unfinished (resume: never begins a new run)")
            for line in describe(plan, commands=True):
                display.display(line)
        for line in versions.differing(plan.versions):
            display.warning(line)
        written = False
        if not left and not self._task.check_mode:
            plan, written = _kept(plan, folder)
        return _result(plan, folder, changed=written)

    def _loaded(self, kind: str, given: Any) -> Any:
        """A document that was given as such, by the path of its file, or (a workload) by its name."""
        if given is None:
            known = ", ".join(workload.shipped())
            raise SchemaError((kind,), f"is missing: say what runs, a file of yours or one of {known}.")
        self._documents[kind] = given
        if isinstance(given, str):
            self._documents[kind] = self._read(kind, self._file(kind, given))
        document = self._documents[kind]
        if not isinstance(document, Mapping):
            raise SchemaError((kind,), f"expected a mapping, got {schema.kind(document)}.", document)
        return document

    def _with_profile(self, suite: Mapping[str, Any]) -> Mapping[str, Any]:
        """A suite that names a profile does what that says, but for what it says itself."""
        if suite.get("profile") is None:
            return suite
        given = str(suite["profile"])
        file = self._file("profile", given)
        try:
            base = profile.read(Path(file).read_text(encoding="utf-8"), str(file))
        except (OSError, UnicodeDecodeError) as problem:
            raise SchemaError(
                ("suite", "profile"), f"the file {file} cannot be read: {_one_line(problem)}", given
            ) from problem
        except FileProblem as problem:
            raise SchemaError(("suite", "profile"), f"the profile is not valid: {problem}", given) from problem
        return {**base, **{key: value for key, value in suite.items() if key != "profile" and value is not None}}

    def _read(self, kind: str, path: str | Path) -> Any:
        try:
            return self._loader.load_from_file(str(path), cache="none")
        except RecursionError:
            raise SchemaError((kind,), f"{path} is nested too deeply.") from None

    def _file(self, kind: str, given: str) -> str | Path:
        shipped = {"workload": workload.shipped, "profile": profile.shipped}.get(kind, dict)()
        if given in shipped:
            return shipped[given]
        is_name = "/" not in given and not given.endswith((".yml", ".yaml", ".json"))
        try:
            return self._found(f"{kind}s", f"{given}.yml" if is_name else given)
        except AnsibleError as problem:
            advice = schema.suggestion(given, list(shipped)) if is_name and shipped else ""
            raise SchemaError(
                (kind,), f"there is no {kind} {given!r}.{advice} {_one_line(problem)}", given
            ) from problem

    def _found(self, folder: str, name: str) -> Path:
        """A file of the role, beside the playbook, or (for a playbook of a collection) in the current folder."""
        try:
            return Path(self._find_needle(folder, name))
        except AnsibleError:
            for path in (Path.cwd() / folder / name, Path.cwd() / name):
                if path.is_file():
                    return path
            raise

    def _read_file(self, name: str, place: Place) -> str:
        try:
            return self._found("files", name).read_text(encoding="utf-8")
        except (AnsibleError, OSError, UnicodeDecodeError) as problem:
            raise SchemaError(place, f"the file {name} cannot be read: {_one_line(problem)}", name) from problem

    def _hosts(
        self, given: Any, chosen: Mapping[str, Any], *, whole: bool
    ) -> tuple[dict[str, list[str]], dict[str, Host]]:
        """Who takes part; ``whole``: a host that the play has lost is refused."""
        named = chosen.get("groups")
        wanted = given or {name: name for name in (named if isinstance(named, Mapping) else ())}
        self._documents.setdefault("groups", wanted)
        play = inventory.Play(
            began=list(self._variables["ansible_play_hosts_all"]),
            left=list(self._variables["ansible_play_hosts"]),
            batch=list(self._variables["ansible_play_batch"]),
            groups=self._variables["groups"],
        )
        groups = inventory.bind(wanted, play, whole=whole)
        names = [name for members in groups.values() for name in members]
        of_the_play = self._of_the_play()
        self._documents["hosts"] = {name: self._host_variables(name, of_the_play) for name in names}
        documents = self._documents["hosts"]
        return plain(groups), {name: inventory.host(name, plain(documents[name], ("hosts", name))) for name in names}

    def _of_the_play(self) -> dict[str, Any]:
        """What the play says for all its hosts: the task's variables that are not those of its first host."""
        first = self._variables["hostvars"][self._variables["inventory_hostname"]]
        own = {*first, *C.MAGIC_VARIABLE_MAPPING["remote_addr"]}  # core fills in the address of the first host
        names = [name for name in inventory.READ if name in self._variables and name not in own]
        found = {name: self._templar.template(self._variables[name]) for name in names}
        return {"ansible_connection": self._task.connection, **found}

    def _host_variables(self, name: str, of_the_play: Mapping[str, Any]) -> dict[str, Any]:
        """What the plan reads of a host: its variables, its facts, and what the play says for all."""
        own = self._variables["hostvars"][name]
        facts = own.get("ansible_facts") or {}
        sources = (own, facts, of_the_play)
        return {
            variable: next(source for source in sources if variable in source)[variable]
            for variable in inventory.READ
            if any(variable in source for source in sources)
        }


def _one_line(problem: Exception) -> str:
    return " ".join(str(problem).split())


def _new_run_id(suite: str, created: time.struct_time) -> str:
    tail = "".join(secrets.choice(string.ascii_lowercase + string.digits) for position in range(4))
    return f"{time.strftime('%Y%m%dT%H%M%SZ', created)}-{suite}-{tail}"


def _asked_for(run_id: str | None, resume: str, results: Path) -> str | None:
    """The run that run_id or resume names, None when it is to have a name of its own."""
    if resume == "never" and run_id and (results / run_id / FILE_NAME).exists():
        raise SchemaError(("run_id",), f"{results} has such a run, and resume is never; choose another.", run_id)
    if resume in ("auto", "never"):
        return run_id
    if run_id not in (None, resume):
        raise SchemaError(("resume",), f"names another run than run_id ({run_id}).", resume)
    if not (results / resume / FILE_NAME).is_file():
        raise SchemaError(("resume",), f"there is no run {resume!r} in {results}.", resume)
    return resume


def _left(plan: RunPlan, results: Path) -> tuple[RunPlan, Path] | None:
    """The newest run of the same samples that a coordinator has left unfinished: its plan and its folder."""
    folders = {path.parent for path in results.glob(f"*/{FILE_NAME}") if not path.parent.is_symlink()}
    for folder in sorted(folders, key=lambda folder: folder.name, reverse=True):
        if unfinished(folder):
            try:
                there = read(folder / FILE_NAME)
            except (OSError, SchemaError):
                continue  # of another version, or somebody else's: not ours to go on with
            if there.same_run(plan):
                return there, folder
    return None


def _check_writable(folder: Path) -> None:
    existing = next(parent for parent in folder.parents if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise SchemaError(("results",), f"the results folder {folder.parent} is not writable.")


def _kept(plan: RunPlan, folder: Path) -> tuple[RunPlan, bool]:
    """The plan, written for its owner only; or the one that is there already, when it is of the same run (to take it
    up)."""
    path = folder / FILE_NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(to_json(plan))
    except OSError as problem:
        if not path.is_file():
            problem_text = f"the results folder {folder.parent} is not writable: {problem.strerror}."
            raise SchemaError(("results",), problem_text) from problem
    else:
        return plan, True
    try:
        there = read(path)
    except (OSError, SchemaError) as problem:
        raise SchemaError(
            ("run_id",), f"{path} is there already and cannot be used: {problem}", plan.run_id
        ) from problem
    if not there.same_run(plan):
        raise SchemaError(("run_id",), f"{path} is the plan of another run; choose another run_id.", plan.run_id)
    return there, False


def _result(plan: RunPlan, folder: Path, *, changed: bool) -> dict[str, Any]:
    return {
        "changed": changed,
        "run_id": plan.run_id,
        "path": str(folder / FILE_NAME),
        "folder": str(folder),
        "sha256": plan.sha256,
        "samples": len(plan.samples),
        "expected_s": plan.expected_s,
        "groups": {name: list(hosts) for name, hosts in plan.groups.items()},
        "table": describe(plan, commands=False),
    }
