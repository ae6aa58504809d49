# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults, as data: what is done to a run, when, and what is promised then."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from . import breaking
from .scene import Scene

# What may come of a run. `refused`: no sample was begun; `left`: the coordinator is gone, the run can be taken up;
# `unheard`: the run is ok, and was stopped all the same: ansible-playbook did not end with 0.
OK, FAILED, ABORTED, REFUSED, LEFT, UNHEARD = "ok", "failed", "aborted", "refused", "left", "unheard"
Promise = Mapping[str, tuple[str, ...]]  # phase → what may come of the run; phases that are not here are not tried


def promise(
    *, prepare: str = OK, ready: str = "", sample: str = FAILED, done: str = f"{OK} {FAILED}", fetch: str = OK
) -> Promise:
    """`sample`: until the window is over. What comes after that may be too late for the sample, or not."""
    said = {"prepare": prepare, "ready": ready or sample, "release": sample, "window": sample}
    return {phase: tuple(may.split()) for phase, may in {**said, "done": done, "seal": done, "fetch": fetch}.items()}


def always(may: str) -> Promise:
    return promise(prepare=may, sample=may, done=may, fetch=may)


def only(phases: str, promised: Promise) -> Promise:
    return {phase: promised[phase] for phase in phases.split()}


WORKING = "ready release window done"  # processes are there, held or running
LOST = f"{OK} {FAILED} {REFUSED}"  # something was lost, or came back in time; but never silently: see checks.py
BACK = f"{OK} {FAILED}"  # begun here, and not yet there: a worker that is back in time takes part
AWAY = f"{LOST} {LEFT}"  # … or all is measured, and the same command fetches it


@dataclass(frozen=True)
class Fault:
    """`within_s`: from the fault to the playbook's end, on an idle machine. `before` and `after` surround the run.

    `noticed_s`: until the user is told, when that is promised. `gone_within_s`: from the playbook's end until nothing
    of the benchmark is left (0: it is gone by then). `names_victim`: a run that is not ok says which host it was;
    `says`: and these words. `lasts_s`: it is to be over before the phase is. `terminal`: it is played on one.
    `window_s`, `deaf` and `escaping` are of the workload.
    """

    name: str
    inject: Callable[[Scene], None]
    promise: Promise
    within_s: float = 15.0
    gone_within_s: float = 0.0
    noticed_s: float | None = None
    before: Callable[[Scene], None] = breaking.nothing
    after: Callable[[Scene], None] = breaking.nothing
    names_victim: bool = True
    says: str = ""
    terminal: bool = False
    window_s: float = 1.2
    lasts_s: float = 0.0
    deaf: bool = False
    escaping: bool = False
    settings: Mapping[str, object] = field(default_factory=dict)


LEASE_S = 40.0  # a lease of 5 s and the deadlines of the workload: what nobody can stop ends by itself
CUT_S = breaking.CUT_S + 30

_LEFT = {
    "promise": promise(prepare=f"{LEFT} {REFUSED}", sample=LEFT, done=LEFT, fetch=f"{LEFT} {OK}"),
    "names_victim": False,
}
_STOPPED = {
    "promise": promise(
        prepare=f"{REFUSED} {ABORTED} {LEFT}",
        sample=ABORTED,
        done=f"{ABORTED} {OK} {UNHEARD}",
        fetch=f"{ABORTED} {OK} {UNHEARD}",
    ),
    "names_victim": False,
}
_WORKER = promise(prepare=LOST, ready=BACK)
_FRAME = {"before": breaking.place_shim, "after": breaking.remove_shim}

FAULTS = {
    fault.name: fault
    for fault in (
        Fault("worker killed", breaking.kill_worker, _WORKER, noticed_s=1.0),
        Fault("worker stopped for 10 s", breaking.stop_worker, always(LOST), within_s=30),
        Fault("process killed", breaking.kill_process, only(WORKING, promise())),
        Fault("process stopped", breaking.stop_process, only(WORKING, promise()), within_s=30),
        Fault(
            "process ignores SIGTERM, worker ended",
            breaking.terminate_worker,
            promise(
                prepare=LOST,
                ready=f"{BACK} {ABORTED}",
                sample=f"{FAILED} {ABORTED}",  # whose word comes first: the worker's, or the lost channel's
                done=f"{BACK} {ABORTED}",
            ),
            deaf=True,
            within_s=20,
        ),
        Fault("process has left its group, worker killed", breaking.kill_worker, _WORKER, escaping=True),
        Fault("host rebooted", breaking.reboot, promise(prepare=LOST, ready=BACK, done=AWAY, fetch=AWAY), within_s=60),
        Fault("everything killed, same command again", breaking.kill_everything, gone_within_s=LEASE_S, **_LEFT),
        Fault("coordinator killed, same command again", breaking.kill_coordinator, gone_within_s=LEASE_S, **_LEFT),
        Fault("coordinator's parent killed", breaking.kill_parent, gone_within_s=10, **_STOPPED),
        Fault("Ctrl-C", breaking.press_ctrl_c, terminal=True, gone_within_s=10, **_STOPPED),
        Fault("Ctrl-C twice", breaking.press_ctrl_c_twice, terminal=True, gone_within_s=10, **_STOPPED),
        Fault(
            "network cut for 30 s",
            breaking.cut_network,
            promise(prepare=LOST, done=AWAY, fetch=AWAY),
            within_s=CUT_S + 30,
            gone_within_s=LEASE_S,
        ),
        Fault(
            "network cut for 30 s in a long window",
            breaking.cut_network,
            {"window": (OK,)},
            lasts_s=breaking.CUT_S,
            window_s=40,
            within_s=90,
        ),
        Fault("half-open connection", breaking.half_open, always(AWAY), within_s=60, gone_within_s=LEASE_S),
        Fault(
            "disk full",
            breaking.fill_disk,
            always(LOST),
            before=breaking.small_disk,
            after=breaking.big_disk,
            within_s=30,
        ),
        Fault("host ten times slower", breaking.slow_down, always(LOST), within_s=60, gone_within_s=LEASE_S),
        Fault(
            "clock stepped by 5 s",
            breaking.step_clock,
            always(OK),
            before=breaking.own_clock,
            after=breaking.common_clock,
        ),
        Fault(
            "clock 500 ppm off",
            breaking.drift_clock,
            always(OK),
            before=breaking.own_clock,
            after=breaking.common_clock,
        ),
        *(
            Fault(f"frame: {how}", breaking.spoil_frame(how), promise(prepare=may, sample=may, done=may), **_FRAME)
            for how, may in (
                ("garbled", LOST),
                ("truncated", LOST),
                ("duplicated", OK),
                ("over-long", LOST),
                ("of another version", LOST),
            )
        ),
        Fault(
            "two coordinators",
            breaking.second_coordinator,
            promise(prepare=f"{OK} {REFUSED}", sample=OK, done=OK),
            after=breaking.second_was_refused,
            names_victim=False,
            window_s=4,
            within_s=40,
        ),
        Fault(
            "stale run of somebody else",
            breaking.nothing,
            {"prepare": (REFUSED, OK)},
            before=breaking.stale_run,
            after=breaking.wait_for_nobody,
            names_victim=False,
            says="here, for",
            gone_within_s=90,  # the workload that is shipped has longer deadlines
        ),
        Fault("journal cut in mid-record, worker killed", breaking.kill_worker_and_cut_journal, _WORKER),
        Fault(
            "record cut in mid-line, same command again",
            breaking.kill_everything_and_cut_the_record,
            gone_within_s=LEASE_S,
            **_LEFT,
        ),
        Fault(
            "pid reused, worker killed",
            breaking.kill_worker_and_reuse_pid,
            only("ready release window done", _WORKER),
            after=breaking.bystander_lives,
        ),
    )
}
