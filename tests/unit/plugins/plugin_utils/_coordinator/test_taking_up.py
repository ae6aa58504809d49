# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A coordinator that takes up what it finds: samples that another has begun, hosts that were away for a while.

A fleet without hosts stands for the channels: it notes what would be sent, and tells what the test wants heard.
"""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace

import pytest
import yaml
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator import walk as walking
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.clock import Bound
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.coordinator import Coordinator, Options
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.course import course_of, reached_state
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.errors import HostError
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.fleet import Fleet
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.lead import Lead
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.progress import Progress
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.record import Record
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.sample import (
    TAKE_UP_S,
    SampleWalk,
    boot_id,
)
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import workload as workloads
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.expansion import expand
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.hosts import Host

KEY = (0, 1)
GROUPS = {"servers": ["s0", "s1"], "clients": ["c0", "c1"]}
HOSTS = [host for hosts in GROUPS.values() for host in hosts]
IDLE = {"sample": -1, "attempt": 0, "state": "idle", "phase": "ended"}
LONG_S = 5.0  # nothing here waits for anything but the test's own events


def status(state, phase="reached"):
    return {"sample": KEY[0], "attempt": KEY[1], "state": state, "phase": phase}


def report(kind, state, reason=None):
    return {"kind": kind, "sample": KEY[0], "attempt": KEY[1], "state": state, "reason": reason, "facts": None}


RUNNING = {"status": status("running"), "reports": [report("reached", "ready"), report("reached", "running")]}
READY = {"status": status("ready"), "reports": [report("reached", "ready")]}
LOST = {
    "status": status("failed", "ended"),
    "reports": [*RUNNING["reports"], report("failed", "running", "broken"), report("ended", "failed")],
}
NOTHING = {"status": IDLE, "reports": []}


class NoHosts:
    """A fleet whose workers are silent. ``tells`` gives what is heard when something is sent."""

    def __init__(self, tells=lambda host, kind, fields: ()):
        self.greetings = {}
        self.sent = []
        self.heard = None
        self._tells = tells

    def send(self, host, kind, **fields):
        self.sent.append((host, kind, fields))
        for message in self._tells(host, kind, fields):
            self.heard(host, *message)

    async def survey(self, hosts, pings=1):
        return {}

    async def whole(self):
        pass

    def keep_silence(self, until):
        pass

    spoke_ns = None

    def unreachable(self):
        return set()

    def slowest_way_ns(self, hosts):
        return 0

    def stand_alone(self, hosts):
        pass

    def break_silence(self):
        pass

    async def watch(self, awaited):
        pass

    def in_doubt(self, awaited):
        return False

    def entered(self):
        return [(host, fields["state"]) for host, kind, fields in self.sent if kind == "enter"]

    def stopped(self):
        return {host for host, kind, _fields in self.sent if kind == "stop"}


@pytest.fixture(scope="module")
def plan():
    workload = workloads.shipped()["command"].read_text(encoding="utf-8")
    addresses = {name: f"10.0.0.{number}" for number, name in enumerate(HOSTS)}
    return expand(
        suite={"name": "trial", "parameters": {"server_command": ["server"], "client_command": ["client"]}},
        workload=yaml.safe_load(workload),
        groups=GROUPS,
        hosts={name: Host(name=name, address=each, machine=name, bind=each) for name, each in addresses.items()},
        run_id="20261121T110500Z-trial-abcd",
        created_utc="2026-11-21T11:05:00Z",
        read_file=lambda name, place: "",
    )


@pytest.fixture
def walk(plan, tmp_path):
    """``walk(fleet, greetings)`` is the line of the sample.

    ``past``: what is in the record; ``early``: what is heard before the sample; ``known``: whose clock was surveyed.
    """

    def walk(fleet, greetings, *, past=(), early=(), known=HOSTS, until=None):
        (tmp_path / "coordinator.jsonl").write_text("".join(json.dumps(event) + "\n" for event in past))
        fleet.greetings = {host: greetings.get(host, NOTHING) for host in HOSTS}
        progress = Progress(show=lambda text, live: None, groups=dict.fromkeys(GROUPS, 2), samples=1)

        async def main():
            coordinator = Coordinator(
                plan, folder=tmp_path, endpoints={}, progress=progress, options=Options(until=until), versions={}
            )
            coordinator._fleet = fleet
            coordinator._before = dict.fromkeys(known, Bound(0, 0, 0))
            fleet.heard = coordinator._heard
            for each in early:
                coordinator._heard(*each)
            record = Record(tmp_path)
            try:
                return await asyncio.wait_for(coordinator._walk(record, KEY), LONG_S)
            finally:
                record.close()

        return asyncio.run(main())

    return walk


def ends_when_stopped(host, kind, fields):
    if kind == "stop":
        yield "report", report("aborted", "running", "stopped")
        yield "report", report("ended", "aborted")


def t0(known=HOSTS):
    before = {host: [0, 0, 0] for host in known}
    return {"event": "t0", "sample": KEY[0], "attempt": KEY[1], "t0_ns": 1, "boot_id": boot_id(), "before": before}


def test_nothing_is_released_when_a_greeting_tells_that_the_sample_is_lost(walk):
    fleet = NoHosts(ends_when_stopped)
    line = walk(fleet, {"s0": RUNNING, "s1": LOST, "c0": RUNNING, "c1": READY}, past=[t0()])
    assert (line["verdict"], line["reason"]) == ("failed", "s1: in state 'running': broken")
    assert fleet.entered() == []
    assert fleet.stopped() >= {"s0", "c0", "c1"}


def test_a_host_that_was_still_preparing_is_stopped_when_the_sample_is_lost(walk):
    fleet = NoHosts(ends_when_stopped)
    walk(fleet, {"s0": LOST, "c1": {"status": status("ready", "entering"), "reports": []}})
    assert fleet.entered() == []
    assert fleet.stopped() == {"s0", "c1"}


def test_what_is_heard_between_a_greeting_and_the_first_sample_counts(walk):
    fleet = NoHosts(ends_when_stopped)
    early = [("s1", "report", each) for each in LOST["reports"][-2:]]
    line = walk(fleet, {"s0": RUNNING, "s1": RUNNING, "c0": RUNNING, "c1": READY}, past=[t0()], early=early)
    assert line["verdict"] == "failed"
    assert fleet.entered() == []


@pytest.mark.parametrize(("past", "known"), [((), HOSTS), ([t0(HOSTS[:-1])], HOSTS[:-1])])
def test_a_release_without_a_known_instant_is_late(walk, past, known):
    """After a reboot of the control node, or to a host that answered no survey."""

    def too_late(host, kind, fields):
        if kind == "enter":
            assert fields["at_ns"] < 1_000
            yield "report", report("late", "running")
        yield from ends_when_stopped(host, kind, fields)

    fleet = NoHosts(too_late)
    line = walk(fleet, {"s0": RUNNING, "s1": RUNNING, "c0": RUNNING, "c1": READY}, past=past, known=known)
    assert fleet.entered() == [("c1", "running")]
    assert line["verdict"] == "invalid"


# A walk that is split on purpose


@pytest.mark.parametrize("until", ["ready", "running"])
def test_a_walk_that_pauses_sends_nothing_of_what_comes_after(walk, until):
    def obeys(host, kind, fields):
        if kind == "enter":
            yield "report", report("reached", fields["state"])

    fleet = NoHosts(obeys)
    assert walk(fleet, {}, until=until) is None
    servers_first = [(host, "running") for host in HOSTS] if until == "running" else []
    assert fleet.entered() == [*((host, "ready") for host in HOSTS), *servers_first]
    assert not fleet.stopped()


# A host that was away for a while


def test_an_idle_host_that_is_back_after_the_verdict_is_not_waited_for(walk):
    back = [("attached", {"reason": "the channel is down", "status": IDLE})]

    def breaks(host, kind, fields):
        if (host, kind) == ("s0", "enter"):
            yield from (("report", each) for each in (report("failed", "ready", "broken"), report("ended", "failed")))
        if (host, kind) == ("s1", "stop") and back:  # what it was sent never came
            yield back.pop()

    line = walk(NoHosts(breaks), {})
    assert line["verdict"] == "failed"


def a_walk(plan, fleet, record, *, lease_s):
    return SampleWalk(
        plan,
        KEY,
        fleet=fleet,
        record=record,
        progress=Progress(show=lambda text, live: None, groups=dict.fromkeys(GROUPS, 2), samples=1),
        before={},
        lead=Lead(),
        parting=frozenset(),
        lasts_s=None,
        lease_s=lease_s,
    )


def test_nothing_is_sent_to_a_host_that_is_back_before_its_greeting_is_heard(plan, tmp_path):
    """Else it would be said to be idle, by the greeting, when it is not."""
    fleet = NoHosts()
    record = Record(tmp_path)
    walk = a_walk(plan, fleet, record, lease_s=1.0)
    walk.heard("s0", "attached", {"reason": "why", "status": IDLE})
    walk._step(walking.Begin())
    assert fleet.entered() == [("s1", "ready")]
    walk._step(walk._events.get_nowait())
    assert fleet.entered() == [("s1", "ready"), ("s0", "ready")]
    record.close()


def test_a_deadline_is_put_off_for_hosts_that_may_be_cut_off_but_not_for_ever(plan, tmp_path):
    fleet = NoHosts()
    doubts = []
    fleet.in_doubt = lambda awaited: doubts.append(list(awaited)) or True
    record = Record(tmp_path)
    walk = a_walk(plan, fleet, record, lease_s=60.0)
    walk._step(walking.Begin())
    walk.heard("s1", "report", report("reached", "ready"))
    walk._step(walk._events.get_nowait())
    planned = walk._deadline
    walk._deadline = 0.0
    assert walk._put_off()
    assert doubts == [["s0"]], "only who is waited for"
    assert 0.0 < walk._deadline < planned + TAKE_UP_S
    walk._deadline, fleet.in_doubt = 0.0, lambda awaited: False
    assert not walk._put_off(), "nobody is in doubt any more"
    walk.heard("s0", "attached", {"reason": "why", "status": IDLE})
    assert walk._put_off(), "what it has to say waits among the events"
    walk._deadline = 0.0
    walk._step(walk._events.get_nowait())
    assert fleet.entered()[-1] == ("s0", "ready")
    assert planned <= walk._deadline < walk._latest, "it has the whole time again"
    assert walk._latest <= planned + 0.8 * 60, "the others' leases go on"
    walk._latest, fleet.in_doubt = 0.0, lambda awaited: True
    assert not walk._put_off()
    record.close()


def test_a_host_is_announced_with_what_its_greeting_tells():
    heard = []
    channel = SimpleNamespace(is_open=True)

    class Mended(Fleet):
        async def _attach(self, host):
            self._channels[host] = channel
            return {"status": {**status("ready"), "run_id": "run"}, "reports": READY["reports"]}

    async def main():
        fleet = Mended(
            run_id="run",
            coordinator="me",
            endpoints={},
            plans={},
            lease_s=1.0,
            on_event=lambda *event: heard.append(event),
            may_take_over=lambda run_id: False,
        )
        await fleet._attach_again("s0", "why")
        channel.is_open = False
        with pytest.raises(HostError, match="lost again"):
            await fleet._attach_again("s0", "why")

    channel.close = lambda: asyncio.sleep(0)
    asyncio.run(main())
    assert [event[:2] for event in heard[:2]] == [("s0", "report"), ("s0", "attached")]
    assert heard[1][2]["status"]["state"] == "ready"


@pytest.mark.parametrize(
    ("state", "phase", "reached"),
    [
        ("ready", "entering", None),
        ("ready", "reached", "ready"),
        ("running", "entering", "ready"),
        ("running", "armed", "running"),
        ("done", "reached", "done"),
        ("failed", "ending", None),
    ],
)
def test_what_a_worker_has_reached_is_read_from_its_status(plan, state, phase, reached):
    assert reached_state(course_of(plan, 0).states["servers"], state, phase) == reached
