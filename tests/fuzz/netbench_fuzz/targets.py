# SPDX-License-Identifier: GPL-3.0-or-later
"""Every parser of something that crosses a boundary: how it is called, what it may raise, and good examples."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.netbench.orchestrator.plugins.module_utils._netbench import scenario, strict_json
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import frames, messages
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import plan as worker_plan
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol.schema import SchemaError
from ansible_collections.netbench.orchestrator.plugins.module_utils._worker import history, journal, seal, storage
from ansible_collections.netbench.orchestrator.plugins.module_utils._worker.errors import WorkerError
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator import (
    clock,
    collect,
    joining,
    measured,
    record,
)
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._coordinator.errors import CoordinatorError
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import (
    host_files,
    inventory,
    profile,
    suite,
    workload,
)
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning import plan as run_plan
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.documents import (
    FileProblem,
    refuse_many_brackets,
)
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.plain import plain
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results import parsers, records
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.errors import ResultsError
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._results.folder import ResultFolder

from . import seeds


@dataclass(frozen=True)
class Target:
    """``parse(data, folder)`` is true when the input was understood; it may raise ``errors`` and nothing else.

    ``form`` as in `mutation.Mutator`; ``share`` of all inputs (slow parsers get fewer); ``folder`` is an empty one.
    """

    name: str
    parse: Callable[[bytes, Path], object]
    errors: tuple[type[Exception], ...]
    seeds: Callable[[], list[bytes]]
    form: str
    share: float


def _frames(data: bytes, folder: Path) -> object:
    decoder = frames.Decoder()
    half = len(data) // 2
    found = decoder.feed(data[:half]) + decoder.feed(data[half:])
    for message in found:  # what was read can be written: into the record, for one
        json.dumps(message, allow_nan=False)
    return found


def _requests(data: bytes, folder: Path) -> object:
    return messages.parse_request(frames.decode(data))


def _worker_messages(data: bytes, folder: Path) -> object:
    return messages.parse_worker_message(frames.decode(data))


def _journal(data: bytes, folder: Path) -> object:
    (folder / "journal.jsonl").write_bytes(data)
    known = history.of(journal.records(folder / "journal.jsonl"))
    return known.boot_id


def _seal(data: bytes, folder: Path) -> object:
    (folder / seal.NAME).write_bytes(data)
    return seal.read(folder)


def _current(data: bytes, folder: Path) -> object:
    (folder / "current").write_bytes(data)
    return storage.read_current(storage.Directories("x", folder, folder))


def _scenario(data: bytes, folder: Path) -> object:
    known = scenario.parse(data)
    for role, hosts in (("client", known.clients), ("server", known.servers)):
        for index in range(min(len(hosts), 3)):
            scenario.thresholds(known, role, index)
    scenario.check(known, driver="tcp")
    return scenario.parse(json.dumps(scenario.dump(known))) == known or 1 / 0


def _accepted(data: bytes, folder: Path) -> object:
    return joining.confirmed("host1", data)


def _delivery(data: bytes, folder: Path) -> object:
    with tempfile.TemporaryFile(dir=folder) as stream:
        stream.write(data)
        stream.seek(0)
        taken = collect.unpack(stream, "host1", folder)
    if taken.problem:
        raise CoordinatorError(taken.problem)
    return True


def _record(data: bytes, folder: Path) -> object:
    (folder / record.NAME).write_bytes(data)
    known = record.Record(folder)
    try:
        known.write("resumed")
        return [known.last("run"), known.verdicts()]
    finally:
        known.close()


def _results(data: bytes, folder: Path) -> object:
    (folder / record.NAME).write_bytes(data)
    return records.read_run(ResultFolder(folder))


def _results_plan(data: bytes, folder: Path) -> object:
    (folder / record.NAME).write_bytes(b'{"event":"run"}\n')
    (folder / "plan.json").write_bytes(data)
    return records.read_run(ResultFolder(folder)).tools


def _outputs(kind: str, name: str) -> Callable[[bytes, Path], object]:
    process = records.Process("client", start_ns=1000, stop_ns=9000)

    def parse(data: bytes, folder: Path) -> object:
        parsed = parsers.PARSERS[kind](parsers.Outputs((process,), (name, f"2{name}"), {name: data}.get))
        return parsed.series or parsed.metrics

    return parse


def _sampler(data: bytes, folder: Path) -> object:
    sampled = parsers.sampler(data)
    return sampled.interface or sampled.counters


def _suite(data: bytes, folder: Path) -> object:
    return suite.check(_document(data))


def _workload(data: bytes, folder: Path) -> object:
    return workload.check(_document(data))


def _expansion(data: bytes, folder: Path) -> object:
    document = _document(data)
    return seeds.planned({"name": "x", "parameters": seeds.given_to(document)}, document)


def _yaml(data: bytes, folder: Path) -> object:
    """A suite as it stands in its file. (Ansible reads it with the same library.)"""
    try:
        refuse_many_brackets(data.decode("utf-8", "replace"))
        document = yaml.load(data, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError):  # Ansible's business, and RecursionError is
        raise SchemaError((), "not a document") from None
    return suite.check(plain(document, ("suite",)))


def _host(data: bytes, folder: Path) -> object:
    document = _document(data)
    if not isinstance(document, dict):
        raise SchemaError((), "not variables")
    return inventory.host("c0", document)


def _groups(data: bytes, folder: Path) -> object:
    document = _document(data)
    if not isinstance(document, dict):
        raise SchemaError((), "not groups")
    return inventory.bind(document, seeds.PLAY)


def _measured(data: bytes, folder: Path) -> object:
    """What a worker tells of a sample, as the record and the operator get it."""
    facts = messages.FACTS(frames.decode(data), ())
    before, after = clock.Bound(100, -(2**61), 2**61), clock.Bound(10**9, 5, 7)
    for later in (after, None):
        host = measured.HostFacts("clients", facts, before, later)
        made = measured.measure({"c0": host}, ["clients"])
        json.dumps([dataclasses.asdict(made), made.window_ns, facts, host.offset() and host.offset().middle_ns])
    return True


def _text(reader: Callable[[str, str], object]) -> Callable[[bytes, Path], object]:
    return lambda data, folder: reader(data.decode("utf-8", "replace"), "file")


def _document(data: bytes) -> Any:
    """What YAML would have given; that it is readable at all is Ansible's business."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise SchemaError((), "not a document") from None


SCENARIO_ERRORS = (scenario.ScenarioError,)
TARGETS = (
    Target("channel frames", _frames, (frames.FrameError,), lambda: [seeds.STREAM], "lines", 16),
    Target("requests", _requests, (frames.FrameError,), lambda: seeds.REQUESTS, "json", 12),
    Target("worker messages", _worker_messages, (frames.FrameError,), lambda: seeds.WORKER_MESSAGES, "json", 12),
    Target("plan accepted", _accepted, (CoordinatorError,), lambda: seeds.encoded({"plan_sha256": "5e"}), "json", 4),
    Target("worker plan", lambda d, f: worker_plan.parse(d), (SchemaError,), seeds.worker_plans, "json", 8),
    Target("journal", _journal, (), lambda: [seeds.JOURNAL], "lines", 8),
    Target("seal", _seal, (), lambda: seeds.encoded(seeds.SEAL), "json", 4),
    Target("current run", _current, (WorkerError,), lambda: [f"run {seeds.SHA256}\n".encode()], "bytes", 2),
    Target("strict JSON", lambda d, f: strict_json.load(d) or 1, SCENARIO_ERRORS, seeds.scenarios, "json", 8),
    Target("scenario", _scenario, SCENARIO_ERRORS, seeds.scenarios, "json", 5),
    Target("delivery (tar)", _delivery, (CoordinatorError,), seeds.deliveries, "tar", 1),
    Target("record", _record, (CoordinatorError,), lambda: [seeds.RECORD], "lines", 3),
    Target("results", _results, (ResultsError,), lambda: [seeds.RECORD], "lines", 3),
    Target("results' plan", _results_plan, (ResultsError,), seeds.plan_files, "json", 1),
    Target("run plan", lambda d, f: run_plan.from_json(d.decode("utf-8", "replace")), (SchemaError,),
           seeds.plan_files, "json", 2),
    Target("throughput trace", _outputs("netbench", "client.stderr"), (), lambda: [seeds.TRACE], "bytes", 8),
    Target("collector", _outputs("netbench", "client.stdout"), (), lambda: [seeds.COLLECTOR], "lines", 6),
    Target("statistics", _outputs("pynetbench", "s.jsonl"), (), lambda: [seeds.STATISTICS], "lines", 6),
    Target("iperf3", _outputs("iperf3", "client.stdout"), (), lambda: seeds.printed("iperf3-*.json"), "json", 2),
    Target("netperf", _outputs("netperf", "client.stdout"), (), lambda: seeds.printed("netperf-*.txt"), "bytes", 4),
    Target("sampler", _sampler, (), lambda: [seeds.SAMPLER], "lines", 4),
    Target("suite", _suite, (SchemaError,), lambda: seeds.encoded(seeds.SUITE), "json", 5),
    Target("workload", _workload, (SchemaError,), seeds.workload_documents, "json", 2),
    Target("suite in YAML", _yaml, (SchemaError,), lambda: seeds.YAML, "bytes", 0.3),
    Target("host variables", _host, (SchemaError,), lambda: seeds.encoded(seeds.VARIABLES), "json", 4),
    Target("groups", _groups, (SchemaError,), lambda: seeds.encoded(*seeds.BOUND), "json", 4),
    Target("facts, measured", _measured, (frames.FrameError, SchemaError), lambda: seeds.encoded(seeds.FACTS),
           "json", 5),
    Target("hosts.yaml", _text(host_files.hosts_yaml), (FileProblem,), lambda: [seeds.HOSTS_YAML], "bytes", 0.3),
    Target("profile", _text(profile.read), (FileProblem,), seeds.profiles, "bytes", 0.3),
    Target("cluster.json", _text(host_files.cluster_json), (FileProblem,), lambda: [seeds.CLUSTER], "json", 0.3),
    Target("clients.txt", _text(lambda text, file: host_files.addresses(text, file, "clients")), (FileProblem,),
           lambda: [b"10.0.0.1\n# more\nfd00::1  # here\nhost.example\n"], "bytes", 2),
    Target("workload, planned", _expansion, (SchemaError,), seeds.workload_documents, "json", 0.3),
)  # fmt: skip


class Folder:
    """An empty folder in memory for each input, cheap when the input left nothing behind."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="fuzz-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None))

    def empty(self) -> Path:
        with os.scandir(self.path) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path)
                else:
                    os.unlink(entry.path)
        return self.path

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)
