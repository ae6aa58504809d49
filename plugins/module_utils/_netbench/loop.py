# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small event loop of generators over edge-triggered epoll. Private to the collection.

A driver spends its Python time between system calls, so its loop does one thing only, in few steps. A task is a
generator. It yields ``None`` to let others run, or ``(event, deadline_ns)`` to sleep until the event is set
(resumed with True) or the deadline has passed (resumed with False); either may be None. Sockets, checkpoints and
finished children are all events.

An edge-triggered descriptor is registered once. Its events stay set until the user of the socket has seen "would block"
and clears them, so waiting costs no system call of its own.
"""

from __future__ import annotations

import contextlib
import heapq
import select
import signal
import socket
from collections import deque
from collections.abc import Generator, Iterable
from time import monotonic_ns
from typing import Optional

from .errors import DriverError

Yielded = Optional[tuple[Optional["Event"], Optional[int]]]
Steps = Generator[Yielded, bool, None]


class Event:
    """Something that a task can wait for. ``external``: set by the kernel, so waiting for it is not a deadlock."""

    __slots__ = ("external", "is_set", "waiting")

    def __init__(self, external: bool = False) -> None:
        self.is_set = False
        self.external = external
        self.waiting: list[Task] = []

    def clear(self) -> None:
        self.is_set = False


LONGEST_POLL_S = 3600.0
"""A scenario may sleep longer than epoll can count; then it is asked again."""
_NOW = Event()
_NOW.is_set = True


class Task:
    """A running generator. ``error`` is set when it failed; ``finished`` in any case at its end.

    Who passes an event of its own as ``finished`` looks after the error; without one, a failure ends the whole loop.
    """

    __slots__ = (
        "background",
        "deadline_ns",
        "ended",
        "error",
        "event",
        "finished",
        "looked_after",
        "resume_with",
        "steps",
        "timer_ns",
    )

    def __init__(self, steps: Steps, background: bool, finished: Event | None) -> None:
        self.steps = steps
        self.background = background
        self.finished = finished or Event()
        self.looked_after = finished is not None
        self.error: BaseException | None = None
        self.ended = False
        self.resume_with: bool | None = None
        self.event: Event | None = None
        self.deadline_ns: int | None = None
        self.timer_ns: int | None = None


class Watched:
    """A socket under epoll, with the two events that the loop sets for it."""

    __slots__ = ("readable", "sock", "writable")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.readable = Event(external=True)
        self.writable = Event(external=True)


class Loop:
    """Runs tasks until the main one ends, or a signal arrives. See the module's text for the protocol of tasks."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._watched: dict[int, Watched] = {}
        self._ready: deque[Task] = deque()
        self._timers: list[tuple[int, int, Task]] = []
        self._sequence = 0
        self._foreground = 0
        self._stuck = 0
        self._failure: Exception | None = None
        self.signal: signal.Signals | None = None
        self.polls = 0
        """How often all tasks had their turn; a task that sees this grow need not yield."""
        self._catches_signals = False
        self._wake_out, self._wake_in = socket.socketpair()
        for end in (self._wake_out, self._wake_in):
            end.setblocking(False)
        self._epoll.register(self._wake_out, select.EPOLLIN)

    def __enter__(self) -> Loop:
        return self

    def __exit__(self, *_exception: object) -> None:
        """Close the loop's own descriptors, and the sockets that it still watches."""
        if self._catches_signals:
            signal.set_wakeup_fd(-1)
        for watched in list(self._watched.values()):
            self.close(watched)
        for end in (self._wake_out, self._wake_in, self._epoll):
            end.close()

    @property
    def pending_timers(self) -> int:
        return len(self._timers)

    def stop_at_signals(self, *signals: signal.Signals) -> None:
        """Make `run` return, with ``self.signal`` set, when one of these arrives."""
        self._catches_signals = True
        signal.set_wakeup_fd(self._wake_in.fileno(), warn_on_full_buffer=False)
        for number in signals:
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _frame: object) -> None:
        self.signal = signal.Signals(number)

    def watch(self, sock: socket.socket) -> Watched:
        watched = Watched(sock)
        self._watched[sock.fileno()] = watched
        self._epoll.register(sock, select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET)
        return watched

    def close(self, watched: Watched) -> None:
        """Stop watching, and close the socket."""
        if watched.sock.fileno() >= 0:
            del self._watched[watched.sock.fileno()]
            watched.sock.close()  # leaves the epoll set by itself

    def spawn(self, steps: Steps, *, background: bool = False, finished: Event | None = None) -> Task:
        """Start a task. Background tasks do not count when the loop looks for a deadlock."""
        task = Task(steps, background, finished)
        self._foreground += not background
        self._ready.append(task)
        return task

    def cancel(self, task: Task) -> None:
        """End another task where it is; its ``finally`` blocks run."""
        if not task.ended:
            self._unwait(task)
            self._end(task)
            task.steps.close()

    def set(self, event: Event) -> None:
        event.is_set = True
        if event.waiting:
            waiting, event.waiting = event.waiting, []
            for task in waiting:
                self._resume(task, True)

    def run(self, main: Steps) -> None:
        """Run until ``main`` ends; raises what it raised. Returns early, main unfinished, on a signal."""
        task = self.spawn(main)
        while not task.ended and self.signal is None and self._failure is None:
            self._poll()
            for _turn in range(len(self._ready)):
                self._step(self._ready.popleft())
        if self._failure is not None:
            raise self._failure

    def _poll(self) -> None:
        self.polls += 1
        timeout_s = 0.0
        if not self._ready:
            if self._stuck >= self._foreground:
                raise DriverError(
                    "nothing can go on: every thread of the scenario waits for another one; see its park and unpark"
                )
            timeout_s = LONGEST_POLL_S
            if self._timers:
                timeout_s = min(max(0, self._timers[0][0] - monotonic_ns()) / 1e9, LONGEST_POLL_S)
        for descriptor, mask in self._epoll.poll(timeout_s):
            watched = self._watched.get(descriptor)
            if watched is None:
                self._drain_wake_up()
                continue
            if mask & ~select.EPOLLOUT:
                self.set(watched.readable)
            if mask & ~select.EPOLLIN:
                self.set(watched.writable)
        if self._timers:
            self._expire(monotonic_ns())

    def _drain_wake_up(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_out.recv(4096)

    def _expire(self, now_ns: int) -> None:
        while self._timers and self._timers[0][0] <= now_ns:
            task = heapq.heappop(self._timers)[2]
            task.timer_ns = None
            if task.deadline_ns is None:
                continue
            if task.deadline_ns <= now_ns:
                self._resume(task, False)
            else:
                self._arm(task, task.deadline_ns)

    def _arm(self, task: Task, deadline_ns: int) -> None:
        # A task waits many times for the same deadline; one timer in the heap is enough for all of them.
        if task.timer_ns is None or deadline_ns < task.timer_ns:
            self._sequence += 1
            task.timer_ns = deadline_ns
            heapq.heappush(self._timers, (deadline_ns, self._sequence, task))

    def _resume(self, task: Task, value: bool) -> None:
        self._unwait(task)
        task.resume_with = value
        self._ready.append(task)

    def _unwait(self, task: Task) -> None:
        self._stuck -= self._only_we_can_help(task)
        if task.event is not None and task in task.event.waiting:
            task.event.waiting.remove(task)
        task.event = task.deadline_ns = None

    def _step(self, task: Task) -> None:
        if task.ended:
            return
        try:
            wanted = task.steps.send(task.resume_with)  # type: ignore[arg-type]
        except StopIteration:
            self._end(task)
            return
        except Exception as error:
            task.error = error
            if not task.looked_after:
                self._failure = error
            self._end(task)
            return
        event, deadline_ns = wanted or (_NOW, None)
        if event is not None and event.is_set:
            task.resume_with = True
            self._ready.append(task)
            return
        task.event, task.deadline_ns = event, deadline_ns
        if deadline_ns is not None:
            self._arm(task, deadline_ns)
        if event is not None:
            event.waiting.append(task)
            self._stuck += self._only_we_can_help(task)

    @staticmethod
    def _only_we_can_help(task: Task) -> bool:
        return not task.background and task.deadline_ns is None and task.event is not None and not task.event.external

    def _end(self, task: Task) -> None:
        task.ended = True
        self._foreground -= not task.background
        self.set(task.finished)

    def sleep_until(self, deadline_ns: int) -> Steps:
        yield (None, deadline_ns)

    def together(self, threads: Iterable[Steps]) -> Steps:
        """Run all at the same time. The first failure ends the others and is raised here."""
        finished = Event()
        tasks = [self.spawn(steps, finished=finished) for steps in threads]
        running = len(tasks)
        try:
            while running:
                yield (finished, None)
                finished.clear()
                running = 0
                for task in tasks:
                    if task.error is not None:
                        raise task.error
                    running += not task.ended
        finally:
            for task in tasks:
                self.cancel(task)
