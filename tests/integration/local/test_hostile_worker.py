# SPDX-License-Identifier: GPL-3.0-or-later
"""A whole walk with one worker that lies: it can spoil the run, by name, and nothing else.

The hostile worker is a program of its own behind an ordinary endpoint. Whatever it does, the walk ends in time, its
host is named, nothing that a terminal obeys is shown, no line is forged, and no file is written beside the run's.
"""

from __future__ import annotations

import asyncio
import json
import sys
import unicodedata
from pathlib import Path

import pytest
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator import channel, fleet, sample
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.coordinator import (
    Coordinator,
    Options,
)
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.endpoint import Become, Endpoint
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.errors import CoordinatorError
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.outcome import Outcome
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.progress import Progress
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.expansion import expand
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.hosts import Host
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.plan import RunPlan, to_json
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.folder import ResultFolder
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.publish import publish
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.table import render

BOUND_S = 20.0
LIAR, HONEST = "liar", "honest"
ESCAPES = "\x1b[2J\x1b]0;owned\x07\u202e\nsample 1/1 · ok · forged"

# Plays the worker just well enough for a walk of one sample; ATTACK may replace any of its functions.
WORKER = r"""
import hashlib, io, json, sys, tarfile, time

def accept(encoded): return json.dumps({"plan_sha256": hashlib.sha256(encoded).hexdigest()})
def host(): return {"os": "Debian", "kernel": "6.1", "cpus": 2, "clock": {"synchronized": True}}
def now(): return time.monotonic_ns()
def stamps(): return {"received_ns": now(), "sent_ns": now()}
def status(): return {"sample": -1, "attempt": 0, "state": "idle", "phase": "reached"}
def say(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()
def reply(to, **fields): say({"type": "reply", "id": to["id"], **stamps(), **fields})
def facts():
    start = now()
    return {"folder": "0000", "processes": [{"name": "p", "pid": 1, "start_ns": start, "stop_ns": start + 10**9,
            "exit_status": 0}]}
def report(to, kind="reached", **fields):
    said = {"type": "report", "kind": kind, "sample": to["sample"], "attempt": to["attempt"], "state": to["state"]}
    say({**said, **stamps(), **fields})
def enter(to):
    report(to, facts=facts() if to["state"] == "done" else None)
    if to.get("at_ns") and to["state"] == "running":
        report({**to, "state": "done"}, facts=facts())
def hello(to): reply(to, host=host(), status=status())
def clock(to): reply(to, wall_ns=time.time_ns())
def stop(to):
    at = {"sample": 0, "attempt": 1, "state": "aborted"}
    report(at, "aborted", reason=to["reason"])
    report(at, "ended", facts=facts())
def delivery(archive): add(archive, "journal.jsonl", b"{}\n")
def add(archive, name, content=b"", **fields):
    member = tarfile.TarInfo(name)
    member.size = len(content)
    for field, value in fields.items():
        setattr(member, field, value)
    archive.addfile(member, io.BytesIO(content))
def export():
    with tarfile.open(fileobj=sys.stdout.buffer, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        delivery(archive)

ATTACK

verb = sys.argv[1]
if verb == "accept-plan":
    print(accept(sys.stdin.buffer.read()))
elif verb == "export":
    export()
else:
    for line in sys.stdin:
        message = json.loads(line)
        globals().get(message["type"], reply)(message)
"""

SAID = ascii(ESCAPES)
# How it begins, and what is said of it then.
BEGINNINGS = {
    "hash": (f"def accept(encoded): return json.dumps({{'plan_sha256': {SAID}}})", "stored a plan with hash"),
    "nested hash": ("def accept(encoded): return '[' * 5000", "did not confirm the plan"),
    "endless hash": ("def accept(encoded):\n    while True: print('x' * 65536)", "sent more than"),
    "last words": (f"sys.stderr.write({SAID}); sys.exit(7)", "ended with status 7"),
    "refusal": (f"def hello(to): reply(to, refused={SAID})", "refused 'hello'"),
    "garbage": ("def hello(to): sys.stdout.buffer.write(bytes(range(256)) * 300)", "is not understood"),
    "no end of line": ("def hello(to): sys.stdout.write('x' * 10**6)", "is not understood"),
    "another run": (
        "def hello(to): reply(to, refused='no', status={**status(), 'run_id': '../../etc'})", "is not understood",
    ),
    "infinite facts": (
        "def say(message):\n    print(json.dumps(message).replace('\"cpus\": 2', '\"cpus\": 1e999'), flush=True)",
        "is not understood",
    ),
    "nested facts": (
        "def host():\n    n = []\n    for _ in range(700): n = [n]\n    return {'os': n}", "is not understood",
    ),
}  # fmt: skip
# What it does in the walk, and how the run ends then.
WALKS = {
    "another's place": ("def host(): return {'group': 'clients', 'index': 7, 'address': '1.2.3.4', 'os': 'x'}", "ok"),
    "reason": (f"def enter(to): report(to, 'failed', reason={SAID})", "failed"),
    "late words": (f"def enter(to): sys.stderr.write({SAID}); sys.stderr.flush(); sys.exit(1)", "failed"),
    "unknown state": ("def enter(to): report({**to, 'state': 'x\\x1b[2J\\nsample 1/1 · ok · forged'})", "failed"),
    "last words of a process": (
        "def enter(to): report(to, 'failed', reason='why', facts=facts())\n"
        f"def facts(): return {{'folder': '0000', 'processes': [{{'name': 'p', 'stderr_tail': {SAID}}}]}}", "failed",
    ),
    "mad figures": (
        "def stamps(): return {'received_ns': 1 << 62, 'sent_ns': 0}\n"
        "def facts(): return {'folder': '0000', 'wall_minus_mono_ns': 10**4000, 'rx_bytes': 10**4000, 'processes': "
        "[{'name': 'p', 'start_ns': 1 << 62, 'stop_ns': 0, 'signal': '\\x1b[2J', 'stderr_tail': '\\x1b[2J<b>'}] * 99}",
        "ok",
    ),
    "delivery": ("def delivery(archive): add(archive, 'samples/../../../secret', b'x')", "ok"),
    "words of the delivery": (f"def export(): sys.stderr.write({SAID}); sys.exit(1)", "ok"),
}  # fmt: skip


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "ATTACH_AGAIN_S", 0.3)
    monkeypatch.setattr(channel, "REPLY_S", 3.0)
    monkeypatch.setattr(sample, "MARGIN_S", 0.5)


def plan(servers: list[str]) -> RunPlan:
    state = {"deadline": "1s"}
    running = {"reached": {"rule": "started"}, **state}
    processes = {"p": {"command": ["x"]}}
    names = [*servers, HONEST]
    return expand(
        suite={"name": "trial", "max_start_skew": "1h"},
        workload={
            "name": "trial",
            "expected_duration": "100ms",
            "groups": {
                "servers": {
                    "processes": processes,
                    "states": {"ready": state, "running": running, "done": state},
                    "stop": {"rule": "signal"},
                },
                "clients": {
                    "processes": processes,
                    "states": {"ready": state, "running": {"entry": "at_t0", **running}, "done": state},
                },
            },
        },
        groups={"servers": servers, "clients": [HONEST]},
        hosts={name: Host(name=name, address=f"10.0.0.{i}", machine=name, bind="") for i, name in enumerate(names)},
        run_id="run",
        created_utc="2026-11-21T11:05:00Z",
        read_file=lambda name, place: "",
    )


def walk(folder: Path, attacks: dict[str, str], *, become: Become | None = None) -> tuple[Outcome | str, list[str]]:
    """The outcome, or why there was none; and everything that was shown. `attacks`: host -> what it does."""
    (folder / "secret").write_text("before")
    (folder / "programs").mkdir()
    run = folder / "results" / "run"
    run.mkdir(parents=True)
    made = plan(list(attacks))
    (run / "plan.json").write_text(to_json(made))
    endpoints = {}
    for host, attack in {**attacks, HONEST: ""}.items():
        program = folder / "programs" / f"{host}.py"
        program.write_text(WORKER.replace("ATTACK", attack), encoding="utf-8")
        how = become if host != HONEST else None
        endpoints[host] = Endpoint(host, "", (), sys.executable, str(program), (), become=how)
    shown: list[str] = []
    coordinator = Coordinator(
        made,
        folder=run,
        endpoints=endpoints,
        progress=Progress(lambda text, live: shown.append(text), {"servers": len(attacks), "clients": 1}, 1),
        options=Options(lease_s=5.0),
        versions={},
    )
    try:
        came_of_it: Outcome | str = asyncio.run(asyncio.wait_for(coordinator.run(), BOUND_S))
    except CoordinatorError as problem:
        came_of_it = str(problem)
    assert sorted(path.name for path in folder.iterdir()) == ["programs", "results", "secret"]
    assert (folder / "secret").read_text() == "before"
    assert [path.name for path in (folder / "results").iterdir()] == ["run"]
    return came_of_it, shown


def obeyed(text: str) -> list[str]:
    """What a terminal would obey in a text of one or more lines."""
    return [letter for letter in text if letter != "\n" and unicodedata.category(letter).startswith("C")]


def test_whatever_it_begins_with_it_is_named(tmp_path: Path) -> None:
    names = [name.replace(" ", "-") for name in BEGINNINGS]
    said, shown = walk(tmp_path, dict(zip(names, (attack for attack, _said in BEGINNINGS.values()), strict=True)))
    assert isinstance(said, str)
    assert not obeyed("\n".join([said, *shown]))
    first, *lines = said.splitlines()
    assert first == f"{len(names)} of {len(names) + 1} hosts cannot take part:"
    about = {name: line for line in lines for name in line.partition(": ")[0].strip().split(", ")}
    assert set(about) == set(names), "no line is forged"
    for name, (_attack, words) in zip(names, BEGINNINGS.values(), strict=True):
        assert words in about[name]


@pytest.mark.parametrize(("attack", "end"), WALKS.values(), ids=WALKS)
def test_whatever_it_does_the_walk_ends_and_the_report_is_made(tmp_path: Path, attack: str, end: str) -> None:
    outcome, shown = walk(tmp_path, {LIAR: attack})
    assert isinstance(outcome, Outcome)
    assert outcome.verdict == end, outcome.reason
    assert end == "ok" or str(outcome.reason).startswith(f"{LIAR}: ")
    problems = [str(each.problem) for each in outcome.collected]
    lines = [line for text in [str(outcome.reason), *shown, *problems] for line in text.splitlines()]
    assert not obeyed("\n".join(lines))
    assert not [line for line in lines if line.startswith("sample 1/1 · ok · forged")]
    folder = tmp_path / "results/run"
    published = publish(ResultFolder(folder))
    assert not obeyed(render(published.summary, published.measured))
    about = json.loads((folder / "coordinator.jsonl").read_text().splitlines()[0])["hosts"][LIAR]
    assert (about["group"], about["index"], about["address"]) == ("servers", 0, "10.0.0.0")


def test_what_comes_before_the_rights_may_be_long(tmp_path: Path) -> None:
    """A host's own greeting without an end of line, before become has succeeded."""
    greeting = "head -c 1000000 /dev/zero; echo; /bin/sh -c "
    outcome, _shown = walk(tmp_path, {LIAR: ""}, become=Become(greeting, "", "YES", None, None))
    assert isinstance(outcome, Outcome)
    assert outcome.verdict == "ok"
