# SPDX-License-Identifier: GPL-3.0-or-later
"""What docs/security.md promises, tried on real hosts: another local user, a download's password, the unit's rights."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import subprocess
import tarfile
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from netbench_lab.host import Host
from netbench_trial.canaries import watched, where
from netbench_trial.lab import LabTrial
from netbench_trial.trial import PLAYBOOKS, ROOT, until

MALLORY = "mallory"
TOKEN = "geheimnis-8Qx1Lm"
PASSWORD = "parola-7Ft4Yk"

# Run by the other user on the host: everything that might show or disturb a run. Prints what worked.
ATTEMPTS = r"""
import glob, json, os, signal, socket, subprocess, sys
state, runtime, program, instance, run_id, secret = sys.argv[1:]
worked = []

def attempt(name, act):
    try:
        result = act()
    except OSError:
        return
    if result:
        worked.append([name, str(result)[:200]])

def connect(path):
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(2)
        peer.connect(path)
        hello = {"type": "hello", "id": 1, "protocol": 1, "coordinator": "m", "run_id": run_id, "takeover": True}
        for message in (hello, {"type": "local", "verb": "stop"}, {"type": "local", "verb": "status"}):
            peer.sendall(json.dumps(message).encode() + b"\n")
        return peer.recv(4096)

def said(*words):
    done = subprocess.run([sys.executable, program, *words], input=b"{}", capture_output=True, timeout=20)
    return done.stdout if done.returncode == 0 else b""

seen = 0
for folder in glob.glob("/proc/[0-9]*"):
    try:
        command = open(folder + "/cmdline", "rb").read()
    except OSError:
        continue
    if b"attempts.py" in command or not (instance.encode() in command or b"pynetbench" in command):
        continue
    seen += 1
    assert secret.encode() not in command
    for name in ("environ", "maps", "mem", "io", "stack"):
        attempt(name, lambda: open(folder + "/" + name, "rb").read(1))
    for name in ("cwd", "exe", "root"):
        attempt(name, lambda: os.readlink(folder + "/" + name))
    attempt("fd", lambda: os.listdir(folder + "/fd"))
    for number in (0, signal.SIGSTOP, signal.SIGKILL)[: 1 if os.access(state, os.W_OK) else 3]:
        attempt(f"signal {number}", lambda: os.kill(int(folder[6:]), number) or True)
attempt("socket", lambda: connect(runtime + "/worker.sock"))
for folder in (state, runtime, os.path.dirname(state), state + "/plans", state + "/runs", state + "/runs/" + run_id):
    attempt("write " + folder, lambda: open(folder + "/x", "w"))
    if folder.startswith((state, runtime)):
        attempt("list " + folder, lambda: os.listdir(folder))
attempt("write program", lambda: open(program, "a"))
where = ("--instance", instance, "--state-dir", state, "--runtime-dir", runtime)
for verb in ("status", "stop", "journal", "export", "forget"):
    attempt(verb, lambda: said(verb, *where, *([run_id] if verb in ("journal", "export", "forget") else [])))
print(json.dumps({"seen": seen, "worked": worked}))
"""


@pytest.fixture
def mallory(on_lab: LabTrial) -> Iterator[Host]:
    """A host with another local user."""
    host = on_lab.lab.hosts["server1"]
    host.shell(f"id -u {MALLORY} || useradd -m {MALLORY}")
    host.path("/tmp/attempts.py").write_text(ATTEMPTS)
    yield host
    host.path("/tmp/attempts.py").unlink()
    host.run("userdel", "-rf", MALLORY)


def folders(trial: LabTrial) -> tuple[str, str]:
    return f"/var/lib/netbench-worker/{trial.token}", f"/run/netbench-worker/{trial.token}"


def attempts(host: Host, trial: LabTrial, *, user: str = MALLORY) -> dict[str, Any]:
    words = (*folders(trial), "/usr/local/lib/netbench-orchestrator/worker.pyz", trial.token, trial.run.path.name)
    said = host.run("runuser", "-u", user, "--", "python3", "/tmp/attempts.py", *words, TOKEN)
    return dict(json.loads(said.stdout))


def test_another_user_of_a_host_gets_and_disturbs_nothing(on_lab: LabTrial, mallory: Host) -> None:
    """In the middle of a run, also when somebody has opened the folders for everybody."""
    state, runtime = folders(on_lab)
    environment = {"netbench_secret_environment": {"API_TOKEN": TOKEN}}
    on_lab.write_inventory(server1=environment)
    playing = on_lab.walking("pynetbench", parameters={"duration": "6s"})
    until("its server runs", lambda: mallory.processes("pynetbench server"), deadline_s=60)
    found = attempts(mallory, on_lab)
    assert found["seen"] >= 2, "the worker and the benchmark's process"
    assert found["worked"] == []
    assert set(mallory.shell(f"stat -c '%U %a' {state} {runtime}").splitlines()) == {"netbench 700"}
    assert set(mallory.shell(f"stat -c '%U %a' {state}/plans/*.json").splitlines()) == {"netbench 600"}
    assert mallory.shell(f"stat -c %U {runtime}/worker.sock") == "netbench\n"
    try:
        mallory.shell(f"chmod 711 {runtime} {state} && chmod 666 {runtime}/worker.sock")
        assert attempts(mallory, on_lab)["worked"] == [], "the socket knows its user"
    finally:
        mallory.shell(f"chmod 700 {runtime} {state} && chmod 600 {runtime}/worker.sock")
    playing.wait(60).ok()
    assert [line["verdict"] for line in on_lab.run.samples] == ["ok"]
    own = {name for name, _result in attempts(mallory, on_lab, user="netbench")["worked"]}
    assert {"socket", "journal", f"list {state}", "environ"} <= own, "it works for the worker's own user"


IMPOSTOR = """
import os, socket
os.umask(0)
os.makedirs("/tmp/netbench-worker-1/default")
with socket.socket(socket.AF_UNIX) as server:
    server.bind("/tmp/netbench-worker-1/default/worker.sock")
    server.listen()
    print("listening", flush=True)
    while True:
        server.accept()
"""


def test_what_another_user_has_put_in_the_place_of_a_worker_is_not_trusted(mallory: Host) -> None:
    """A worker without root has its socket below /tmp, where everybody may make folders: user 1 is expected there."""
    impostor = subprocess.Popen(
        mallory.enter("runuser", "-u", MALLORY, "--", "python3", "-c", IMPOSTOR), stdout=subprocess.PIPE
    )
    program = ("env", "XDG_STATE_HOME=/tmp/state-1", "python3", "/usr/local/lib/netbench-orchestrator/worker.pyz")

    def refused(verb: str) -> str:
        said = mallory.run("runuser", "-u", "daemon", "--", *program, verb, check=False, stdin="")
        assert (said.returncode, said.stdout) == (1, ""), verb
        return said.stderr

    try:
        assert impostor.stdout
        assert impostor.stdout.readline() == b"listening\n"
        for verb in ("attach", "status", "start"):
            assert "is served by user" in refused(verb)
        mallory.run("pkill", "-u", MALLORY)
        impostor.wait(10)
        assert "belongs to user" in refused("start"), "only the folder is left"
    finally:
        mallory.run("pkill", "-u", MALLORY, check=False)
        impostor.communicate(timeout=10)
        mallory.shell("rm -rf /tmp/netbench-worker-1 /tmp/state-1")


def test_the_score_of_the_unit_is_the_one_that_its_page_states(on_lab: LabTrial) -> None:
    """Docs say `**2.1 OK**`; the host's systemd says no more."""
    stated = re.search(r"says \*\*([0-9.]+) OK\*\*", (ROOT / "roles/worker/README.md").read_text())
    assert stated
    assert f"gives it {stated[1]} of 10" in (ROOT / "docs/security.md").read_text()
    host = on_lab.lab.hosts["client1"]
    said = host.run("systemd-analyze", "security", "--no-pager", f"netbench-worker@{on_lab.token}.service", check=False)
    score = re.search(r"Overall exposure level for \S+: ([0-9.]+)", said.stdout)
    if not score:
        pytest.skip(f"this host cannot tell: {(said.stderr or said.stdout).strip()[-200:]}")
    print(f"stated {stated[1]}, found {score[1]}")
    assert float(score[1]) <= float(stated[1])


@pytest.fixture
def store() -> Iterator[str]:
    """A web server that wants a password, with a driver in an archive; yields its port and the archive's checksum."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as archive:
        for role in ("client", "server"):
            member = tarfile.TarInfo(f"s2n-netbench-driver-{role}-mine")
            content = b"#!/bin/sh\nexit 0\n"
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
    wanted = "Basic " + base64.b64encode(f"user:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = self.headers.get("Authorization") == wanted
            self.send_response(200 if allowed else 401)
            if not allowed:
                self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.end_headers()
            self.wfile.write(data.getvalue() if allowed else b"no")

        def log_message(self, *_words: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"{server.server_port} {hashlib.sha256(data.getvalue()).hexdigest()}"
    server.shutdown()
    server.server_close()


def test_the_password_of_a_download_is_found_nowhere(on_lab: LabTrial, store: str, tmp_path: Path) -> None:
    """Right on one host, wrong on the other: not in what Ansible says at -vvv, the cache, the hosts, or /proc."""
    port, sha256 = store.split()
    passwords = {"client1": PASSWORD, "client2": f"{PASSWORD}-wrong"}
    secrets = {name: on_lab.folder / "host_vars" / name / "secret.json" for name in passwords}
    for name, secret in secrets.items():
        secret.parent.mkdir(parents=True, exist_ok=True)
        url = f"http://user:{passwords[name]}@127.0.0.1:{port}/{name}.tar.gz"
        secret.write_text(json.dumps({"netbench_url": url}))
    on_lab.environment["XDG_CACHE_HOME"] = str(tmp_path)
    given = {"netbench_source": "prebuilt", "netbench_drivers": ["mine"], "netbench_sha256": sha256}
    try:
        with watched(PASSWORD) as seen:
            finished = on_lab.play(PLAYBOOKS / "tools.yml", "--limit", "client1,client2", "-vvv", timeout_s=60, **given)
    finally:
        del on_lab.environment["XDG_CACHE_HOME"]
        for secret in secrets.values():
            secret.unlink()
    finished.failed()
    assert re.search(r"client1 +: .* failed=0 ", finished.output)
    assert "fatal: [client2]" in finished.output
    assert "401" in finished.output
    assert PASSWORD not in finished.output
    assert not seen()
    assert not where(PASSWORD, on_lab.folder, tmp_path)
    for name in passwords:
        host = on_lab.lab.hosts[name]
        assert PASSWORD not in host.shell("journalctl --no-pager -o cat")
        assert not host.run("grep", "-rl", PASSWORD, "/usr/local", "/root", "/tmp", "/var/tmp", check=False).stdout
