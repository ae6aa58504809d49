# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The loop: waiting, deadlines, failures of one among several, and threads that wait for each other for ever."""

from __future__ import annotations

import socket
from time import monotonic_ns

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench.errors import DriverError
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench.loop import Event, Loop


@pytest.fixture
def loop():
    with Loop() as loop:
        yield loop


def in_ms(amount):
    return monotonic_ns() + amount * 1_000_000


def test_an_event_or_a_deadline_ends_a_wait(loop):
    event, seen = Event(external=True), []

    def waiter():
        seen.append((yield (event, in_ms(5))))
        seen.append((yield (event, in_ms(5_000))))

    def setter():
        yield (None, in_ms(20))
        loop.set(event)

    start = monotonic_ns()
    loop.run(loop.together([waiter(), setter()]))
    assert seen == [False, True]
    assert 20 <= (monotonic_ns() - start) / 1e6 < 4_500


def test_a_socket_wakes_its_waiter(loop):
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    watched = loop.watch(ours)
    got = []

    def reader():
        while not got:
            try:
                got.append(ours.recv(10))
            except BlockingIOError:
                watched.readable.clear()
                assert (yield (watched.readable, in_ms(5_000)))

    def writer():
        yield (None, in_ms(5))
        theirs.send(b"x")

    loop.run(loop.together([reader(), writer()]))
    loop.close(watched)
    theirs.close()
    assert got == [b"x"]


def test_a_failure_ends_the_others_and_is_raised(loop):
    cleaned = []

    def endless():
        try:
            while True:
                yield (None, in_ms(1))
        finally:
            cleaned.append(True)

    def failing():
        yield (None, in_ms(5))
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        loop.run(loop.together([endless(), loop.together([endless(), failing()]), endless()]))
    assert cleaned == [True, True, True]


def test_threads_that_wait_for_each_other_are_noticed(loop):
    never = Event()

    def stuck():
        yield (never, None)

    def background():
        while True:
            yield (None, in_ms(1))

    loop.spawn(background(), background=True)
    with pytest.raises(DriverError, match="nothing can go on"):
        loop.run(loop.together([stuck(), stuck()]))


def test_a_sleep_longer_than_the_kernel_can_count_is_a_sleep(loop):
    def sleeper():
        yield (None, in_ms(2**64))

    def short():
        yield (None, in_ms(5))

    task = loop.spawn(sleeper(), background=True)
    loop.run(short())
    loop.cancel(task)
    assert loop.pending_timers == 1


def test_many_waits_for_one_deadline_leave_few_timers(loop):
    event = Event(external=True)
    deadline = in_ms(60_000)

    def waiter():
        for _unused in range(1_000):
            event.clear()
            assert (yield (event, deadline))

    def setter():
        for _unused in range(5_000):
            loop.set(event)
            yield None

    task = loop.spawn(setter(), background=True)
    loop.run(waiter())
    loop.cancel(task)
    assert loop.pending_timers <= 2
