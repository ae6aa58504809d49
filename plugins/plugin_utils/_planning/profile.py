# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Profiles of netperf-orchestrate, and ours of the same names, as suites. Pure. Private to this collection.

A profile is a YAML file with ``name``, ``global`` settings, ``tests`` in order, ``expectations`` and ``analysis``; what
each field does here is in :data:`PROFILE`. :func:`read` makes a suite of the workload ``netperf`` of it, which carries
all of it out. A field that is not known is refused with its line and a suggestion.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path as FilePath
from typing import Any

from ...module_utils._protocol import schema
from ...module_utils._protocol.schema import (
    Path,
    Record,
    SchemaError,
    boolean,
    choice,
    list_of,
    mapping_of,
    optional,
    text,
)
from . import expectations
from .documents import read_yaml
from .quantities import duration_s, integer, number

FOLDER = FilePath(__file__).parent / "profiles"
RETRIES = 2  # of ``retry_on_error: true``
REPEATS = 3  # the fewest that say something of the spread

_size = schema.either(
    number=integer(minimum=1),
    text=text(pattern=r"\d{1,12}[kKmMgG]?(,\d{1,12}[kKmMgG]?)?", expected="a size, like 64K, or two for both ends"),
)
_whole_s = duration_s


def _cpus(value: Any, path: Path) -> str:
    """What netperf's ``-T`` takes: one CPU for both ends, or ``0,1`` for the client's and the server's."""
    listed = ",".join(map(str, value)) if isinstance(value, list) else str(value)
    return str(text(pattern=r"\d{0,4}(,\d{0,4})?", expected="a CPU, or two for both ends")(listed, path))


def _retries(value: Any, path: Path) -> int:
    if isinstance(value, bool):
        return RETRIES if value else 0
    return int(integer(minimum=0, maximum=1000)(value, path))


def _confidence(value: Any, path: Path) -> float:
    """0.95, or 95 for per cent."""
    found = float(number(value, path))
    share = found / 100 if found > 1 else found
    return float(schema.number(minimum=0.5, maximum=0.9999)(share, path))


TEST = Record(
    name=text(minimum=1, maximum=100),
    description=(text(), ""),
    direction=(choice("send", "recv", "rr", "stream", "maerts"), "send"),  # stream is send, maerts is recv
    protocol=(choice("tcp", "udp", "sctp"), "tcp"),
    instances=(integer(minimum=1, maximum=100), 1),  # processes on each client, released together
    duration=(optional(_whole_s), None),  # the global one
    socket_size=(optional(_size), None),  # buffers at both ends
    message_size=(optional(_size), None),  # of one write, or read where the server sends
    request_size=(optional(_size), None),
    response_size=(optional(_size), None),
    burst=(optional(integer(minimum=0)), None),  # transactions under way at once, beside the first
    connection=(boolean, False),  # a new connection for each transaction
    cpu_affinity=(optional(_cpus), None),
    stagger_start=(optional(_whole_s), None),  # between one instance and the next
)

GLOBAL = Record(
    duration=(_whole_s, 10.0),
    output_format=(choice("csv", "human", "json", "keyval", "omni", "table", "text"), "csv"),  # all are written anyway
    warmup=(optional(_whole_s), None),  # traffic before each sample, not measured
    cooldown=(optional(_whole_s), None),  # quiet after each sample
    retry_on_error=(_retries, 0),  # how many samples may be repeated
    continue_on_error=(boolean, True),  # with what is left, after a sample that failed for good
    repeats=(integer(minimum=1, maximum=1000), REPEATS),  # ours: samples of each test
)

ANALYSIS = Record(
    percentiles=(list_of(schema.number(minimum=0, maximum=100), maximum=20), lambda: [50, 90, 95, 99]),
    confidence_level=(_confidence, 0.95),
    calculate_statistics=(boolean, True),  # they always are
    detect_outliers=(boolean, True),  # they are always marked, and never left out
)

PROFILE = Record(
    name=text(pattern=r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", expected="letters, digits, '_', '.', '-'"),
    description=(text(), ""),
    version=(schema.either(text=text(), number=schema.number()), "1"),
    category=(text(), ""),
    tests=list_of(TEST, minimum=1, maximum=1000),
    expectations=(mapping_of(schema.anything), dict),
    analysis=(ANALYSIS, lambda: ANALYSIS({}, ())),
    tags=(list_of(text()), list),
    **{"global": (GLOBAL, lambda: GLOBAL({}, ()))},
)


def shipped() -> dict[str, FilePath]:
    """The files of our own profiles, by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yml"))}


def read(content: str, file: str) -> dict[str, Any]:
    """The suite of a profile. Raises FileProblem with the file and the line."""
    return suite(read_yaml(content, file).checked(_checked))


def _checked(value: Any, path: Path) -> dict[str, Any]:
    profile: dict[str, Any] = PROFILE(value, path)
    expectations.check(profile["expectations"], (*path, "expectations"))
    names = [test["name"] for test in profile["tests"]]
    for position, test in enumerate(profile["tests"]):
        here = (*path, "tests", position)
        if names.index(test["name"]) != position:
            raise SchemaError((*here, "name"), f"the test {test['name']!r} is there twice.", test["name"])
        transactions = test["direction"] == "rr"
        for field in ("request_size", "response_size", "burst"):
            if test[field] is not None and not transactions:
                raise SchemaError((*here, field), "is for direction: rr.", test[field])
        for field in ("message_size",):
            if test[field] is not None and transactions:
                raise SchemaError((*here, field), "is not for direction: rr, which has request_size.", test[field])
        if test["connection"] and (not transactions or test["protocol"] != "tcp"):
            raise SchemaError((*here, "connection"), "is for direction: rr and protocol: tcp.", test["connection"])
    return profile


def suite(profile: Mapping[str, Any]) -> dict[str, Any]:
    """A checked profile as the suite that does what it says."""
    whole = profile["global"]
    return {
        "name": profile["name"],
        "description": profile["description"],
        "workload": "netperf",
        "tests": [
            {"name": test["name"], "parameters": parameters(test, whole["duration"])} for test in profile["tests"]
        ],
        "order": "in_turn",
        "repeats": whole["repeats"],
        "warm_up": whole["warmup"] or None,
        "cool_down": whole["cooldown"] or None,
        "retry_budget": whole["retry_on_error"],
        "on_host_failure": "retry" if whole["retry_on_error"] or whole["continue_on_error"] else "abort",
        "continue_on_error": whole["continue_on_error"],
        "expectations": profile["expectations"],
        "confidence": profile["analysis"]["confidence_level"],
        "percentiles": profile["analysis"]["percentiles"],
    }


def parameters(test: Mapping[str, Any], duration: float) -> dict[str, Any]:
    """One test as parameters of the workload ``netperf``."""
    name, arguments = _kind(test)
    if test["socket_size"]:
        arguments += ["-s", str(test["socket_size"]), "-S", str(test["socket_size"])]
    if test["message_size"]:
        arguments += ["-M" if test["direction"] in ("recv", "maerts") else "-m", str(test["message_size"])]
    if test["request_size"] or test["response_size"]:
        arguments += ["-r", f"{test['request_size'] or 1},{test['response_size'] or 1}"]
    if test["burst"]:
        arguments += ["-b", str(test["burst"])]
    return {
        "test": name,
        "duration": test["duration"] or duration,
        "arguments": arguments,
        "global_arguments": ["-T", test["cpu_affinity"]] if test["cpu_affinity"] else [],
        "instances": test["instances"],
        "stagger_start": test["stagger_start"] or 0,
    }


def _kind(test: Mapping[str, Any]) -> tuple[str, list[str]]:
    """netperf's name for a test, and what has to be said besides."""
    protocol = test["protocol"].upper()
    if test["direction"] == "rr":
        return f"{protocol}_CRR" if test["connection"] else f"{protocol}_RR", []
    if test["direction"] in ("send", "stream"):
        return f"{protocol}_STREAM", []
    if protocol == "UDP":  # which has no MAERTS
        return "omni", ["-d", "recv", "-T", "udp"]
    return f"{protocol}_MAERTS", []
