# SPDX-License-Identifier: GPL-3.0-or-later
"""Breaks a run: one fault, in one phase, at a random instant of it; then looks at what came of it."""

from __future__ import annotations

import fcntl
import math
import random
import time
import traceback
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from netbench_trial.lab import LabTrial
from netbench_trial.results import RunFolder
from netbench_trial.trial import PLAYBOOKS, USUAL, Playing, until

from . import breaking, checks
from .faults import FAILED, LEFT, OK, REFUSED, UNHEARD, Fault
from .phases import Phase, Timeline
from .scene import Scene
from .workload import workload

SAMPLES = 2
LEASE_S = 5
PATIENCE_S = 60.0  # until a phase begins
UNSURE_S = 0.03  # a mark is seen so much later than it was made, at most
STOPPED = (-9, -2, 99)  # exit status of ansible-playbook when it was killed, or stopped by Ctrl-C, twice or once
RESUME_S = 5.0  # on an idle machine
START_S = 2.5  # from the command to the first sample, on an idle machine of two cores


@dataclass
class Case:
    """What came of one fault in one phase."""

    fault: str
    phase: str
    how: str = ""  # victim, sample, instant
    outcome: str = ""
    seconds: float = 0.0  # from the fault to the playbook's end
    missed: list[str] = field(default_factory=list)
    output: str = ""

    def __str__(self) -> str:
        verdict = f"{self.outcome}, {self.seconds:.1f} s" + "".join(f"\n    MISSED: {miss}" for miss in self.missed)
        return f"{self.fault} · {self.phase} · {self.how}: {verdict}"


class Engine:
    """Plays runs on prepared hosts. The same seed gives the same victims and instants."""

    def __init__(self, trial: LabTrial, seed: int) -> None:
        self._trial = trial
        self._seed = seed
        self._number = 0
        self._lengths: dict[str, deque[float]] = {}  # of each phase, lately
        self.slowness = 1.0  # of this machine, now

    def calibrate(self) -> dict[str, float]:
        """The length of each phase, from a run to which nothing is done."""
        nothing = Fault("no fault", breaking.nothing, {})
        scene = self._scene(nothing, random.Random(self._seed))
        self._start(scene, nothing)
        finished = scene.play.wait(180).ok()
        assert scene.timeline is not None
        scene.timeline.close()
        assert not (wrong := [*self._wrong(scene, nothing)]), f"without any fault: {wrong}\n{finished.output}"
        self.slowness = max(1.0, (scene.timeline.marks["begin 0"] - scene.play.began_s) / START_S)
        self._learn(scene.timeline)
        return {name: min(lengths) for name, lengths in self._lengths.items()}

    def _learn(self, timeline: Timeline, until_s: float = math.inf) -> None:
        """Other work on this machine comes and goes: what counts is how long phases took in the latest runs."""
        for name, length_s in timeline.lengths(SAMPLES, until_s).items():
            self._lengths.setdefault(name, deque(maxlen=3)).append(length_s)

    def inject(self, fault: Fault, phase: Phase, number: int) -> Case:
        """One run, one fault. `number` is the round's."""
        dice = random.Random(f"{self._seed}/{fault.name}/{phase.name}/{number}")
        case = Case(fault.name, phase.name)
        scene = self._scene(fault, dice)
        sample, share = dice.randrange(SAMPLES), dice.random()
        case.how = f"{scene.victim}, sample {sample}"
        try:
            fault.before(scene)
            self._start(scene, fault)
            self._break(scene, fault, phase, sample, share, case)
        except Exception as problem:
            case.missed.append(f"{type(problem).__name__}: {problem}")
        self._settle(scene, fault, case)
        return case

    # -- one run ---------------------------------------------------------------------------------------------------

    def _scene(self, fault: Fault, dice: random.Random) -> Scene:
        self._number += 1
        victim = dice.choice(sorted(self._trial.hosts))
        results = self._trial.folder / "results" / f"{self._number:05d}"
        return Scene(self._trial, results, victim, dice, fault.window_s, lenient=fault.deaf)

    def _start(self, scene: Scene, fault: Fault) -> None:
        scene.timeline = Timeline(
            lambda: scene.run_folder and scene.run_folder / "coordinator.jsonl",
            lambda: scene.journal(scene.victim),
            lambda: scene.playing.text if scene.playing else "",
            samples=SAMPLES,
            window_s=scene.window_s,
        )
        scene.playing = self._play(scene, fault)

    def _play(self, scene: Scene, fault: Fault) -> Playing:
        suite = {**USUAL, "retry_budget": 5, "repeats": SAMPLES, "lease": LEASE_S, **fault.settings}
        given = {f"run_{name}": value for name, value in suite.items()}
        program = workload(scene.window_s, deaf=fault.deaf, escaping=fault.escaping)
        playing = self._trial.start(
            PLAYBOOKS / "run.yml",
            terminal=fault.terminal,
            run_workload=program,
            **{**given, "run_results": str(scene.results)},
        )
        self._trial.playing.append(playing)
        return playing

    def _break(self, scene: Scene, fault: Fault, phase: Phase, sample: int, share: float, case: Case) -> None:
        timeline, playing = scene.timeline, scene.play
        assert timeline is not None
        mark, _end = phase.marks(sample)

        def begun() -> bool:
            assert playing.process.poll() is None, f"ended before {mark!r}:\n{playing.text}"
            return timeline.at(mark) is not None

        until(f"the phase {phase.name} begins", begun, deadline_s=PATIENCE_S * self.slowness, every_s=0.003)
        length_s = scene.window_s * 0.9 if phase.name == "window" else min(self._lengths[phase.name])
        length_s = max(0.0, length_s - fault.lasts_s)
        at_s = (timeline.at(mark) or 0.0) + share * length_s
        time.sleep(max(0.0, at_s - time.monotonic()))
        began_s = time.monotonic()
        fault.inject(scene)
        done_s = time.monotonic()
        case.how += f", {share * length_s * 1e3:.0f} ms into it"
        finished = playing.wait(fault.within_s * self.slowness + 60)
        ended_s = time.monotonic()
        timeline.close()
        self._learn(timeline, began_s)
        case.output = finished.output
        case.seconds = ended_s - began_s
        self._until_let_go(scene)
        hit = timeline.phases_between(began_s - UNSURE_S, done_s + UNSURE_S) | {phase.name}
        case.outcome = outcome(scene, finished.status)
        allowed = {verdict for name in hit for verdict in fault.promise.get(name, ())}
        if case.outcome not in allowed:
            case.missed.append(f"{case.outcome}; promised is {' or '.join(sorted(allowed))} in {'/'.join(sorted(hit))}")
        if fault.noticed_s is not None and (lost_s := timeline.at("lost")) is not None:
            case.how += f", noticed after {lost_s - began_s:.2f} s"
            if lost_s - done_s > fault.noticed_s * self.slowness:
                case.missed.append(f"noticed after {lost_s - done_s:.2f} s")
        if case.seconds > fault.within_s * self.slowness:
            case.missed.append(f"it took {case.seconds:.1f} s; promised are {fault.within_s:g} s × {self.slowness:.1f}")
        if case.outcome in (FAILED, REFUSED):
            words = " ".join(finished.output.split())
            if fault.names_victim and f"{scene.victim}: " not in words:
                case.missed.append(f"{scene.victim} is not named")
            if fault.says not in words:
                case.missed.append(f"nothing says {fault.says!r}")

    def _settle(self, scene: Scene, fault: Fault, case: Case) -> None:
        """Heal what is broken, look at what is left and at what there is."""
        try:
            for later in scene.laters:
                later.now()
            if case.outcome == LEFT:
                self._same_command_again(scene, fault, case)
            if case.outcome:
                case.missed += self._wrong(scene, fault)
            fault.after(scene)
            self._trial.check_clean()
        except Exception as problem:
            where = traceback.extract_tb(problem.__traceback__)[-3:]
            places = " < ".join(f"{Path(each.filename).name}:{each.lineno}" for each in reversed(where))
            case.missed.append(f"afterwards: {type(problem).__name__}: {problem} ({places})")
        if case.missed:
            self._make_whole()

    def works_again(self) -> Case:
        """The next run is an ordinary one. (Within a round the next fault's run shows that: up to the fault.)"""
        case = Case("no fault any more", "-")
        plain = Fault("no fault", breaking.nothing, {}, window_s=0.2)
        scene = self._scene(plain, random.Random(0))
        finished = self._play(scene, plain).wait(90 * self.slowness)
        case.output, case.outcome, case.seconds = finished.output, outcome(scene, finished.status), finished.elapsed_s
        case.missed += ["the next run does not work"] if case.outcome != OK else self._wrong(scene, plain)
        return case

    def _make_whole(self) -> None:
        """What one case has left behind shall not spoil the next one."""
        while self._trial.playing:
            self._trial.playing.pop().end()
        self._trial.lab.repair()
        self._trial.lab.up(
            *(sum(name.startswith(group) for name in self._trial.hosts) for group in ("server", "client"))
        )
        for host in self._trial.lab.hosts.values():
            host.run("systemctl", "restart", f"netbench-worker@{self._trial.token}", check=False)

    def _wrong(self, scene: Scene, fault: Fault) -> Iterator[str]:
        yield from checks.anything_left(scene, fault.gone_within_s)
        yield from checks.record_is_wrong(scene)
        yield from checks.anything_lost(scene)

    def _same_command_again(self, scene: Scene, fault: Fault, case: Case) -> None:
        """It takes up what is there, soon, and ends well."""
        before = RunFolder(scene.run_folder, cut=True) if scene.run_folder else None
        kept = [line["sample"] for line in before.samples if line["verdict"] == "ok"] if before else []
        began_s = time.time()
        finished = self._play(scene, fault).wait(90 * self.slowness)
        case.output += f"\n$ the same command again\n{finished.output}"
        if finished.status != 0:
            case.missed.append(f"the same command again: exit status {finished.status}")
            return
        assert scene.run_folder is not None
        run = RunFolder(scene.run_folder, cut=True)
        if before and before.events and run.path != before.path:
            case.missed.append("the same command began another run")
        resumed = [datetime.fromisoformat(line["utc"]).timestamp() - began_s for line in run.of("resumed")[-1:]]
        if kept and not resumed:
            case.missed.append("nothing says that the run was taken up")
        if resumed and resumed[0] > RESUME_S * self.slowness:
            case.missed.append(f"taken up after {resumed[0]:.1f} s")
        case.how += f", taken up after {resumed[0]:.1f} s" if resumed else ""
        good = sorted(line["sample"] for line in run.samples if line["verdict"] == "ok")
        if good != list(range(SAMPLES)):
            case.missed.append(f"samples that are ok: {good}")

    def _until_let_go(self, scene: Scene) -> None:
        """Nobody walks the run any more. (ansible-playbook may be gone before its coordinator.)"""

        def free() -> bool:
            if not scene.run_folder:
                return True
            with open(scene.run_folder / "coordinator.jsonl", "a") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    return False
            return True

        until("the coordinator lets go", free, deadline_s=30 * self.slowness)


def outcome(scene: Scene, status: int | None) -> str:
    """How the run ended: its verdict, or that it was not begun, or that its coordinator has left it."""
    run = RunFolder(scene.run_folder, cut=True) if scene.run_folder else None
    events = run.events if run else []
    names = [event["event"] for event in events]
    if "end" in names:
        verdict = next(event["verdict"] for event in reversed(events) if event["event"] == "end")
        if verdict == OK and status in STOPPED:
            return UNHEARD
        if (verdict == OK) != (status == 0):
            return f"{verdict}, but exit status {status}"
        return str(verdict)
    if "begin" in names or status in (None, -9):
        return LEFT
    return REFUSED
