# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The worker as installed on this machine: look, install, start, remove. Private to this collection.

Runs on the host, inside the module ``worker``. Looking is cheap and changes nothing; what has to be done is then
decided by a pure comparison (`missing`) of what is wanted with what was seen.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time

UNIT_DIR = "/etc/systemd/system"
ANSWER_TIMEOUT_S = 20.0
ACCOUNT_COMMENT = "netbench worker"  # how the role marks the account it makes
KEEP_UNUSED_S = 7 * 86400  # an archive that started no worker for so long is removed by the next upgrade
OLDEST_PYTHON = (3, 9)
VERSION = re.compile(r"\d+\.\d+[\w.+-]*")


class InstallationError(Exception):
    """The worker of this machine cannot be brought into the wanted state. `result` adds to what the module returns."""

    def __init__(self, message, **result):
        super().__init__(message)
        self.result = result


def places(params, uid, home, environ, booted_with_systemd):
    """Where a worker of these parameters lives on this machine: plain data, decided without touching anything."""
    mode = params["mode"]
    if mode == "auto":
        mode = "systemd" if uid == 0 and booted_with_systemd else "user"
    # A service has one program, which its unit names. Without one, every version has a file of its own, so that two
    # clones on one machine do not pull the program from under each other's workers.
    program = f"worker-{params['sha256'][:16]}.pyz" if mode == "user" and params["sha256"] else "worker.pyz"
    if uid == 0:
        library, state, runtime = "/usr/local/lib", "/var/lib", "/run/netbench-worker"
    else:
        library = os.path.join(home, ".local/lib")
        state = environ.get("XDG_STATE_HOME") or os.path.join(home, ".local/state")
        runtime = f"/tmp/netbench-worker-{uid}"
    instance = params["instance"]
    return {
        "mode": mode,
        "instance": instance,
        "program": os.path.join(library, "netbench-orchestrator", program),
        "python": params["python"] or ("/usr/bin/python3" if mode == "systemd" else sys.executable),
        "state_dir": params["state_dir"] or os.path.join(state, "netbench-worker", instance),
        "runtime_dir": params["runtime_dir"] or os.path.join(runtime, instance),
    }


def missing(wanted, seen):
    """What has to be done, comparing two pictures of the host: of ``account``, ``archive``, ``units``, ``service``."""
    right = {
        "account": seen["account"],
        "archive": seen["archive_sha256"] == wanted["sha256"],
        "units": seen["units"] == wanted["units"],
        "service": seen["service"] and seen["running_sha256"] == wanted["sha256"],
    }
    return [what for what, is_right in right.items() if not is_right]


class Installation:
    """One instance of the worker on this machine."""

    def __init__(self, params):
        self.params = params
        booted_with_systemd = os.path.isdir("/run/systemd/system")
        self.place = places(params, os.getuid(), os.path.expanduser("~"), os.environ, booted_with_systemd)
        self.as_service = self.place["mode"] == "systemd"
        self.library = os.path.dirname(self.place["program"])
        self.unit = f"netbench-worker@{self.place['instance']}.service"
        self.wanted = {"sha256": params["sha256"], "units": params["units"] if self.as_service else {}}
        if self.as_service and os.getuid():
            raise InstallationError("mode=systemd needs root: set become, or choose mode=user.")
        if self.as_service and (params["state_dir"] or params["runtime_dir"]):
            raise InstallationError("state_dir and runtime_dir are for mode=user: the unit of a service fixes them.")

    # Looking

    def look(self):
        """A picture of what is there now."""
        seen = {"archive_sha256": None, "units": {}, "account": True, "service": True}
        if os.path.exists(self.place["program"]):
            with open(self.place["program"], "rb") as stream:
                seen["archive_sha256"] = hashlib.sha256(stream.read()).hexdigest()
        answer = self.status()
        seen.update(running_sha256=answer.get("archive_sha256"), active_run=answer.get("active_run"))
        if self.as_service:
            seen["units"] = self.installed_units()
            seen["account"] = self.account() is not None
            shown = self.run("systemctl", "show", self.unit, "--property=ActiveState,UnitFileState,NeedDaemonReload")[1]
            settled = {"ActiveState=active", "UnitFileState=enabled", "NeedDaemonReload=no"}
            seen["service"] = settled <= set(shown.split())
        return seen

    def status(self, **other):
        """What this instance (or, with its `place` given, another one) says of itself; empty when it does not run."""
        if not os.path.exists(os.path.join(other.get("runtime_dir", self.place["runtime_dir"]), "worker.sock")):
            return {}
        try:
            answer = self.answer(**other)
            busy = answer.get("active") or answer.get("coordinator")  # between two samples, only the coordinator tells
            run = str(answer.get("run_id") or "(not loaded yet)") if busy else None
        except (ValueError, AttributeError, RecursionError):
            return {}
        # what it says is shown, and a benchmark's process might be the one who says it
        return {
            "archive_sha256": answer.get("archive_sha256"),
            "active_run": run and tame(run),
        }

    def answer(self, **other):
        """Its whole status, as it was said. Raises ValueError when that is not JSON."""
        return json.loads(self.run(*self.worker("status", "--json", **other))[1])

    def processes(self, arguments):
        """Which processes of a run live here, and their versions, asked for with these arguments."""
        told = self.status()
        if not told:
            return {"running": False, "run_id": None, "lease_left_s": None, "processes": []}
        try:
            answer = self.answer()
            alive = [(str(each["name"]), int(each["pid"]), str(each["program"])) for each in answer["processes"]]
            left_s = None if answer["lease_left_s"] is None else float(answer["lease_left_s"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InstallationError(
                f"What answers in {self.place['runtime_dir']} is not a worker of this version; end it, and start again."
            ) from error
        processes = [
            {"name": tame(name), "pid": pid, "program": tame(program), "version": self.version_of(program, arguments)}
            for name, pid, program in alive
        ]
        return {"running": True, "run_id": told["active_run"], "lease_left_s": left_s, "processes": processes}

    def version_of(self, program, arguments):
        """What a program says its version is. Asked with the rights of the worker's user, who has named it."""
        if not arguments or not os.path.isabs(program):
            return ""
        owner = os.stat(self.place["state_dir"])
        rights = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if os.getuid() == 0 else {}
        said = self.run(program, *arguments, **rights)
        seen = VERSION.search(said[1]) or VERSION.search(said[2])
        return seen.group()[:40] if seen else ""

    def installed_units(self):
        found = {}
        for name in self.params["units"]:
            with contextlib.suppress(FileNotFoundError), open(os.path.join(UNIT_DIR, name), encoding="utf-8") as stream:
                found[name] = stream.read()
        return found

    def account(self):
        try:
            return pwd.getpwnam(self.params["account"])
        except KeyError:
            return None

    def orphaned_account(self):
        """The account's name, if it is the role's own and no instance is left to use it; otherwise empty."""
        account = self.account() if self.as_service and not self.other_instances() else None
        return account.pw_name if account and account.pw_gecos == ACCOUNT_COMMENT else ""

    def other_instances(self):
        """Names of the other instances that this machine has, running or not."""
        parents = {os.path.dirname(self.place[name]) for name in ("state_dir", "runtime_dir")}
        found = {os.path.basename(path) for parent in parents for path in glob.glob(os.path.join(parent, "*"))}
        return sorted(found - {self.place["instance"]})

    def archives(self):
        """Every version of the program that is installed in this place."""
        return glob.glob(os.path.join(self.library, "worker*.pyz"))

    def refuse_during_a_run(self, what, others):
        """Fail when a worker that would be disturbed is in the middle of a run."""
        for name in [self.place["instance"]] + (self.other_instances() if others else []):
            place = {
                "instance": name,
                "state_dir": os.path.join(os.path.dirname(self.place["state_dir"]), name),
                "runtime_dir": os.path.join(os.path.dirname(self.place["runtime_dir"]), name),
            }
            place = self.place if name == self.place["instance"] else place
            run = self.status(**place).get("active_run")
            if run:
                raise InstallationError(
                    f"The worker (instance {name}) is in the middle of run {run}: {what} is refused. Wait until the "
                    f"run has ended, or end it on the host with: {' '.join(self.worker('stop', **place))}",
                    active_run=run,
                )

    # Doing

    @contextlib.contextmanager
    def lock(self):
        """One task at a time changes what the instances of this machine share."""
        os.makedirs(self.library, mode=0o755, exist_ok=True)
        with open(os.path.join(self.library, ".lock"), "w", encoding="utf-8") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            yield

    def install(self):
        """Do what is missing. Another instance's task may have done part of it, so this looks again."""
        with self.lock():
            seen = self.look()
            todo = missing(self.wanted, seen)
            if not todo:
                return
            self.refuse_during_a_run("an upgrade", others=self.as_service and self.disturbs_others(todo, seen["units"]))
            self.check_python()
            if "archive" in todo:
                self.install_archive()
            if "units" in todo:
                for name, content in self.wanted["units"].items():
                    write(os.path.join(UNIT_DIR, name), content.encode("utf-8"), 0o644)
            self.start()

    def disturbs_others(self, todo, units):
        """Whether what the instances share is replaced: the program, or a unit that is not this instance's own."""
        own = f"@{self.place['instance']}."
        shared = {name: content for name, content in self.wanted["units"].items() if own not in name}
        return "archive" in todo or any(units.get(name) != content for name, content in shared.items())

    def check_python(self):
        python = self.place["python"]
        status, out, err = self.run(python, "-c", "import sys; print(*sys.version_info[:2])")
        if status or tuple(int(part) for part in out.split()) < OLDEST_PYTHON:
            found = f"does not run ({err})" if status else f"is Python {'.'.join(out.split())}"
            raise InstallationError(
                f"The worker needs Python 3.9 or newer, and {python} {found}. "
                "Name another one with `python` (in the role: worker_python)."
            )

    def install_archive(self):
        with open(self.params["source"], "rb") as stream:
            data = stream.read()
        arrived = hashlib.sha256(data).hexdigest()
        if arrived != self.wanted["sha256"]:
            raise InstallationError(
                f"The worker's archive arrived damaged: SHA-256 {arrived} instead of {self.wanted['sha256']}. "
                "Nothing was changed; run the task again."
            )
        write(self.place["program"], data, 0o755)
        for path in self.archives():
            if path != self.place["program"] and os.stat(path).st_mtime < time.time() - KEEP_UNUSED_S:
                os.unlink(path)

    def start(self):
        """(Re)start the worker and see it answer."""
        if self.as_service:
            self.must("systemctl", "daemon-reload")
            self.must("systemctl", "enable", self.unit)
            status, _out, err = self.run("systemctl", "restart", self.unit)
            if status:
                raise InstallationError(f"{self.unit} does not start: {err} {self.last_words()}")
        else:
            os.utime(self.place["program"])  # in use: see KEEP_UNUSED_S
            start = self.worker("start", "--idle-exit", str(self.params["idle_exit_s"]))
            self.must(*start, environment=self.params["environment"])
        deadline = time.monotonic() + ANSWER_TIMEOUT_S
        while self.status().get("archive_sha256") != self.wanted["sha256"]:
            if time.monotonic() > deadline:
                raise InstallationError(
                    f"The worker was started, but does not answer within {ANSWER_TIMEOUT_S:.0f} s. {self.last_words()}"
                )

    def last_words(self):
        if not self.as_service:
            return f"See {self.place['state_dir']}/worker.log."
        out = self.run("journalctl", "--unit", self.unit, "--lines", "5", "--output", "cat", "--no-pager")[1]
        return f"Its log ends with: {out.strip() or 'nothing; see systemctl status ' + self.unit}"

    def leftovers(self):
        """What `remove` takes away: this instance's own paths, and what all share when it is the last one."""
        last = not self.other_instances()
        mine = f"@{self.place['instance']}."
        paths = [self.place["state_dir"], self.place["runtime_dir"]]
        if self.as_service:
            paths += [os.path.join(UNIT_DIR, name) for name in self.params["units"] if last or mine in name]
        if last:
            paths += [*self.archives(), os.path.join(self.library, ".lock")]
        return [path for path in paths if os.path.lexists(path)]

    def remove(self, end_run=False):
        """Stop and take away this instance. Returns the paths that are gone."""
        if end_run and self.status().get("active_run"):
            self.must(*self.worker("stop"))
        self.refuse_during_a_run("removal", others=False)
        if self.as_service:
            self.run("systemctl", "disable", "--now", self.unit)
        elif self.status():
            self.must(*self.worker("stop", "--worker"))
        gone = []
        while self.leftovers():  # what is shared shows up once the instance's own is gone
            for path in self.leftovers():
                gone.append(path)
                shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.unlink(path)
        mine = [*gone, self.place["state_dir"], self.place["runtime_dir"]]  # systemd takes the latter away by itself
        for folder in {os.path.dirname(path) for path in mine} - {UNIT_DIR, "/tmp", "/run", "/var/lib"}:
            if os.path.isdir(folder) and not os.listdir(folder):
                os.rmdir(folder)
        if self.as_service:
            self.must("systemctl", "daemon-reload")
        return gone

    # Commands

    def worker(self, command, *arguments, **other):
        """The argv of one of the worker's commands, for this instance (or, with its `place` given, another one).

        Any installed version will do to ask or stop a worker, when the wanted one is not there yet.
        """
        place = dict(self.place, **other)
        program = next(filter(os.path.exists, [self.place["program"], *self.archives()]), self.place["program"])
        options = ("--instance", "instance"), ("--state-dir", "state_dir"), ("--runtime-dir", "runtime_dir")
        named = [word for option, key in options for word in (option, place[key])]
        return [place["python"], program, command, *named, *arguments]

    def run(self, *argv, environment=None, **rights):
        """Run a command, with another user's rights if given; returns (exit status, stdout, stderr)."""
        variables = {name: str(value) for name, value in (environment or {}).items()}
        options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": 60, **rights}
        try:
            done = subprocess.run(argv, env=dict(os.environ, **variables), check=False, **options)
        except (OSError, subprocess.TimeoutExpired) as error:
            return 127, "", str(error)
        return done.returncode, done.stdout, done.stderr.strip()

    def must(self, *argv, environment=None):
        status, out, err = self.run(*argv, environment=environment)
        if status:
            said = err or out.strip() or "no message"
            raise InstallationError(f"{' '.join(argv)}: exit status {status}: {said}")


def tame(text):
    """What was said by somebody else, fit to be shown on a terminal."""
    return re.sub(r"[^\w.()/ -]", "?", str(text))[:100]


def write(path, data, mode):
    """Replace a file so that nobody ever sees half of it."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
            os.fchmod(stream.fileno(), mode)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
