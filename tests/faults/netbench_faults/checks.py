# SPDX-License-Identifier: GPL-3.0-or-later
"""What must hold after every run, whatever was done to it. Each check returns what is wrong, in words."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from netbench_trial.results import RunFolder
from netbench_trial.trial import until

from .scene import Scene


def anything_left(scene: Scene, within_s: float) -> Iterator[str]:
    """A process or a port of the benchmark on any host, after the time that it may take to go."""

    def left() -> str:
        return ", ".join([*map(str, scene.trial.leftovers().items()), *scene.trial.ports_taken()])

    try:
        until("nothing is left", lambda: not left(), deadline_s=within_s, every_s=0.1)
    except AssertionError:
        yield f"left over {within_s:g} s later: {left()}"


def record_is_wrong(scene: Scene) -> Iterator[str]:
    """Each attempt has one verdict, each sample at most one `ok`; an `ok` is one on every host."""
    if not scene.run_folder:
        return
    run = RunFolder(scene.run_folder, cut=True)
    ended = bool(run.of("end"))
    begun = Counter((line["sample"], line["attempt"]) for line in run.of("begin"))
    judged = Counter((line["sample"], line["attempt"]) for line in run.samples)
    for key, times in judged.items():
        if times > 1:
            yield f"attempt {key} has {times} verdicts"
    if ended and set(begun) - set(judged):
        yield f"begun and without a verdict: {sorted(set(begun) - set(judged))}"
    good = Counter(line["sample"] for line in run.samples if line["verdict"] == "ok")
    for sample, times in good.items():
        if times > 1:
            yield f"sample {sample} is ok {times} times"
    for line in run.samples:
        others = {host: about["verdict"] for host, about in line["hosts"].items() if about["verdict"] != "done"}
        if line["verdict"] == "ok" and others:
            yield f"sample {line['sample']} is ok, but {others}"
        bad = [
            f"{host}/{each['name']}"
            for host, about in line["hosts"].items()
            for each in about.get("processes", ())
            if each["exit_status"] != 0
        ]
        if line["verdict"] == "ok" and bad and not scene.lenient:
            yield f"sample {line['sample']} is ok, but these did not exit with 0: {bad}"
    if ended and (run.path / "samples.csv").exists():
        rows = [(int(row["sample"]), int(row["attempt"]), row["verdict"]) for row in run.rows]
        lines = [(line["sample"], line["attempt"], line["verdict"]) for line in run.samples]
        if rows != lines:
            yield f"samples.csv has {rows}, the record {lines}"


def anything_lost(scene: Scene) -> Iterator[str]:
    """What a host has sealed is in the results, as it was sealed, or the results say that it is not."""
    if not scene.run_folder or not RunFolder(scene.run_folder, cut=True).of("end"):
        return
    run = RunFolder(scene.run_folder, cut=True)
    try:
        run.check_seals()
    except (AssertionError, OSError) as problem:
        yield str(problem)
    collected: dict[str, Any] = run.of("end")[-1]["collected"]
    for host in scene.trial.hosts:
        if collected[host]["problem"]:
            if host != scene.victim:
                yield f"{host} was not fetched, and is not to blame: {collected[host]['problem']}"
            continue
        folder = scene.worker_folder(host) / "runs" / run.path.name
        here = {path.parent.name: _sha256(path) for path in folder.glob("samples/*/seal.json")}
        there = {path.parent.name: _sha256(path) for path in run.path.glob(f"hosts/{host}/*/seal.json")}
        if here != there:
            yield f"{host} has sealed {sorted(here)}, fetched are {sorted(there)}"
        for line in run.samples:
            about = line["hosts"][host]
            if about.get("seal_sha256") and there.get(about["folder"]) != about["seal_sha256"]:
                yield f"{host}: what was fetched of sample {about['folder']} is not what was reported"
        yield from _started_twice(run, host)


def _started_twice(run: RunFolder, host: str) -> Iterator[str]:
    path = run.path / "journal" / f"{host}.jsonl"
    if not path.exists():
        return
    records = []
    for line in path.read_text(errors="replace").splitlines():
        try:
            records.append(json.loads(line))
        except ValueError:
            continue  # cut off by a crash, as the worker does
    held = Counter((each["sample"], each["attempt"]) for each in records if each.get("event") == "held")
    yield from (f"{host} started attempt {key} {times} times" for key, times in held.items() if times > 1)


def _sha256(path: Any) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
