# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What crosses the channel: states, sample numbers, instants and facts; never anything that is executed. Private to
this collection.

The coordinator sends requests, the worker answers each of ``hello``, ``clock``, ``load``
and ``finish`` with one ``reply`` (same ``id``) and sends ``report`` whenever something happened. Every message of the
worker carries ``received_ns`` (when it read the latest request) and ``sent_ns``, both on its monotonic clock, so
every exchange is a clock sample.

::

    coordinator -> worker                                worker -> coordinator

    hello  {id, protocol, coordinator, run_id, takeover} reply {host, status, reports of the latest sample}
    clock  {id}                                          reply {wall_ns}
    load   {id, run_id, plan_sha256, lease_s}            reply {}   or reply {refused: why}
    enter  {sample, attempt, state, at_ns?, lease_s}     report {kind: reached|armed|late|refused|failed|…}
    stop   {reason}                                      report {kind: aborted}, then report {kind: ended}
    finish {id, run_id}                                  reply {}   the run is over, the worker is idle again

Reports (``kind``): ``reached`` a state; ``armed`` processes wait for T0; ``late`` T0 was too near, nothing was
started; ``failed`` / ``aborted`` at once when it happens, with the reason; ``ended`` when after that every process is
gone and the outputs are sealed. ``reached done`` and ``ended`` carry the facts of the sample.
"""

from __future__ import annotations

from typing import Any

from . import schema
from .frames import FrameError
from .plan import NAME, SHA256, STATE
from .schema import (
    Record,
    SchemaError,
    anything,
    boolean,
    choice,
    either,
    integer,
    list_of,
    mapping_of,
    number,
    optional,
    text,
)

IDENTITY = integer(minimum=0, maximum=1 << 53)
INSTANT_NS = integer(minimum=0, maximum=1 << 62)
LEASE_S = number(minimum=0.1, maximum=7 * 86400)
REASON = text(maximum=4000)

REQUEST = schema.variant(
    "type",
    hello=Record(id=IDENTITY, protocol=integer(), coordinator=NAME, run_id=NAME, takeover=(boolean, False)),
    clock=Record(id=IDENTITY),
    load=Record(id=IDENTITY, run_id=NAME, plan_sha256=SHA256, lease_s=LEASE_S),
    enter=Record(
        sample=integer(minimum=0, maximum=1_000_000),
        attempt=integer(minimum=1, maximum=1000),
        state=STATE,
        at_ns=(optional(INSTANT_NS), None),
        lease_s=LEASE_S,
    ),
    stop=Record(reason=REASON),
    finish=Record(id=IDENTITY, run_id=NAME),
)

_PROCESS_FACTS = Record(
    name=NAME,
    pid=(optional(integer(minimum=1)), None),
    start_ns=(optional(INSTANT_NS), None),  # just before exec, on the worker's monotonic clock
    stop_ns=(optional(INSTANT_NS), None),  # its exit was seen
    exit_status=(optional(integer(minimum=0, maximum=255)), None),
    signal=(optional(text(maximum=20)), None),  # the name, as TERM
    stderr_tail=(text(maximum=4000), ""),
    notes=(list_of(text(pattern=r"[ -~]*", expected="plain ASCII", maximum=300), maximum=4), list),  # favours refused
)

FACTS = Record(
    processes=(list_of(_PROCESS_FACTS, maximum=1000), list),
    wall_minus_mono_ns=(optional(integer()), None),
    control_packets=(
        optional(integer(minimum=0)),
        None,
    ),  # segments on the channel's connection, first start to first stop
    rx_bytes=(optional(integer(minimum=0)), None),  # the interface's counters, first start to last stop
    tx_bytes=(optional(integer(minimum=0)), None),
    sealed_files=(optional(integer(minimum=0)), None),
    sealed_bytes=(optional(integer(minimum=0)), None),
    seal_sha256=(optional(SHA256), None),
    folder=(optional(NAME), None),  # the sample's folder name
)

STATUS = Record(
    run_id=(optional(NAME), None),
    plan_sha256=(optional(SHA256), None),
    sample=integer(minimum=-1, maximum=1_000_000),
    attempt=integer(minimum=0, maximum=1000),
    state=text(maximum=40),
    phase=text(maximum=40),
)

_REPORT_FIELDS: dict[str, Any] = {
    "kind": choice("reached", "armed", "late", "refused", "failed", "aborted", "ended"),
    "sample": integer(minimum=-1, maximum=1_000_000),
    "attempt": integer(minimum=0, maximum=1000),
    "state": text(maximum=40),
    "reason": (optional(REASON), None),
    "facts": (optional(FACTS), None),
}
REPORT_BODY = Record(**_REPORT_FIELDS)


def _figure(value: Any, path: schema.Path) -> Any:
    """A number that JSON can say; whole ones stay whole."""
    number(minimum=-1e300, maximum=1e300)(value, path)
    return value


_FACT: dict[str, Any] = {"text": text(maximum=1000), "number": _figure, "boolean": boolean, "nothing": anything}
HOST_FACTS = mapping_of(either(**_FACT, mapping=mapping_of(either(**_FACT), maximum=100)), maximum=100)

_STAMPS: dict[str, Any] = {"received_ns": (optional(INSTANT_NS), None), "sent_ns": INSTANT_NS}

WORKER_MESSAGE = schema.variant(
    "type",
    reply=Record(
        id=IDENTITY,
        refused=(optional(REASON), None),
        wall_ns=(optional(integer()), None),
        host=(optional(HOST_FACTS), None),  # hello: kernel, cpus, clock discipline, versions …
        status=(optional(STATUS), None),
        reports=(list_of(REPORT_BODY, maximum=10), list),  # of the latest sample, for whoever attaches again
        **_STAMPS,
    ),
    report=Record(**_REPORT_FIELDS, **_STAMPS),
)


def parse_request(message: dict[str, Any]) -> dict[str, Any]:
    """A checked request with defaults filled in. Raises FrameError."""
    return _parse(REQUEST, message)


def parse_worker_message(message: dict[str, Any]) -> dict[str, Any]:
    """A checked reply or report with defaults filled in. Raises FrameError."""
    return _parse(WORKER_MESSAGE, message)


def _parse(checker: schema.Checker, message: dict[str, Any]) -> dict[str, Any]:
    try:
        checked: dict[str, Any] = checker(message, ())
    except SchemaError as problem:
        raise FrameError(f"not a message: {problem}") from problem
    return checked
