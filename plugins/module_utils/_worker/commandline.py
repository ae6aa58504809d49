# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The worker's command line (docs/architecture.md). Private to this collection.

Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 the worker is not there.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from .errors import NotThere, WorkerError

NOT_THERE = 3


def main(argv: list[str]) -> int:
    """Run one subcommand and return the exit status."""
    options = _parser().parse_args(argv)
    try:
        options.run(options)
    except NotThere as problem:
        _complain(problem)
        return NOT_THERE
    except (WorkerError, ValueError, OSError) as problem:
        _complain(problem)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _complain(problem: Exception) -> None:
    """In words that steer no terminal: some are the worker's, and whoever runs as its user may be who answers."""
    from .members import printable

    sys.stderr.write(printable(f"worker: {problem}").replace("\n", " ") + "\n")


def _parser() -> argparse.ArgumentParser:
    place = argparse.ArgumentParser(add_help=False)
    place.add_argument("--instance", default="default", help="which worker, where several are on a host")
    place.add_argument("--state-dir", help="its state directory")
    place.add_argument("--runtime-dir", help="the directory of its socket")
    idle = argparse.ArgumentParser(add_help=False)
    idle.add_argument("--idle-exit", type=float, metavar="SECONDS", help="end when idle for so long (0: never)")
    as_json = argparse.ArgumentParser(add_help=False)
    as_json.add_argument("--json", action="store_true", help="for programs")
    of_run = argparse.ArgumentParser(add_help=False)
    of_run.add_argument("run_id", metavar="RUN_ID")

    parser = argparse.ArgumentParser(prog="worker", description="The worker of netbench.orchestrator.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str, *parents: argparse.ArgumentParser) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text, parents=parents)
        added.set_defaults(run=run)
        return added

    command("serve", _serve, "be the worker, in the foreground", place, idle)
    command("start", _start, "have a worker in the background", place, idle)
    command("attach", _attach, "join stdin and stdout to the worker", place)
    command("accept-plan", _accept_plan, "check a plan from stdin and keep it", place)
    command("export", _export, "a run's sealed outputs and journal as a tar stream", place, of_run)
    command("status", _status, "what the worker is doing", place, as_json)
    stop = command("stop", _stop, "end the sample that is going on", place, as_json)
    stop.add_argument("--worker", action="store_true", help="end the worker too")
    command("journal", _journal, "what happened in a run", place, as_json, of_run)
    command("forget", _forget, "remove a run's folder and plan", place, as_json, of_run)
    command("version", _version, "which worker this is", as_json)
    parser.epilog = "pynetbench {client|server} [SCENARIO]: the embedded netbench driver"
    return parser


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def _where(options: argparse.Namespace) -> Any:
    from . import place, storage

    where = storage.directories(options.instance, state_dir=options.state_dir, runtime_dir=options.runtime_dir)
    place.give_up_root(str(where.state))
    return where


def _idle_exit(options: argparse.Namespace, default: float | None) -> float | None:
    return default if options.idle_exit is None else (options.idle_exit or None)


def _serve(options: argparse.Namespace) -> None:
    from . import service

    service.serve(_where(options), _idle_exit(options, None))


def _start(options: argparse.Namespace) -> None:
    from . import service

    _say(service.start(_where(options), _idle_exit(options, service.IDLE_EXIT_S)))


def _attach(options: argparse.Namespace) -> None:
    from . import attach

    given = {"--instance": options.instance, "--state-dir": options.state_dir, "--runtime-dir": options.runtime_dir}
    attach.main([word for option, value in given.items() if value is not None for word in (option, value)])


def _accept_plan(options: argparse.Namespace) -> None:
    from .._protocol import plan
    from . import storage

    where = _where(options)
    encoded = sys.stdin.buffer.read(plan.LIMIT_BYTES + 1)
    storage.create_state(where)
    _say(json.dumps({"plan_sha256": storage.store_plan(where, encoded)}))


def _export(options: argparse.Namespace) -> None:
    from . import export

    export.export(_where(options), _run_id(options), sys.stdout.buffer)


def _run_id(options: argparse.Namespace) -> str:
    from .._protocol.plan import NAME

    return str(NAME(options.run_id, ("RUN_ID",)))


def _ask(options: argparse.Namespace, verb: str, **fields: Any) -> dict[str, Any]:
    from . import attach, client

    where = _where(options)
    with attach.connect(str(where.socket), where.instance) as sock:
        answer = client.ask(sock, verb, **fields)
    return {name: value for name, value in answer.items() if name not in ("type", "received_ns", "sent_ns")}


def _status(options: argparse.Namespace) -> None:
    from . import texts

    answer = _ask(options, "status")
    _say(json.dumps(answer) if options.json else texts.status(answer))


def _stop(options: argparse.Namespace) -> None:
    answer = _ask(options, "stop")
    if options.worker:
        _ask(options, "quit", why="stopped by a person")
    said = "the sample was ended" if answer["stopped"] else "no sample was going on"
    _say(json.dumps(answer) if options.json else said + (", the worker ends" if options.worker else ""))


def _journal(options: argparse.Namespace) -> None:
    from . import journal, texts
    from .errors import StorageError

    where = _where(options)
    records = journal.read(where.journal(_run_id(options)))
    if not records:
        raise StorageError(f"there is no journal of run {options.run_id!r} on this host.")
    for record in records:
        _say(json.dumps(record) if options.json else texts.record(record))


def _forget(options: argparse.Namespace) -> None:
    import shutil

    from . import history, journal, storage
    from .errors import StorageError

    where, run_id = _where(options), _run_id(options)
    try:
        _ask(options, "forget", run_id=run_id)
    except NotThere:
        storage.forget_current(where)
    folder = where.run(run_id)
    if not folder.is_dir() or folder.is_symlink():
        raise StorageError(f"there is no run {run_id!r} on this host.")
    plan_sha256 = history.of(journal.records(where.journal(run_id))).plan_sha256
    if plan_sha256:
        storage.forget_plan(where, plan_sha256)
    shutil.rmtree(folder)
    _say(json.dumps({"forgotten": run_id}) if options.json else f"run {run_id} is forgotten")


def _version(options: argparse.Namespace) -> None:
    from . import about

    program = about.program()
    archive = (program["archive_sha256"] or "from sources")[:12]
    _say(
        json.dumps(program) if options.json else f"worker {program['version']} ({archive}), Python {program['python']}"
    )
