# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab: N hosts with systemd and sshd on a network of their own, made and removed as one."""

from __future__ import annotations

import concurrent.futures
import contextlib
import fcntl
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO

from . import image, inventory, packets
from .commands import LabError, run, ticks
from .host import Host
from .runtime import Runtime
from .settings import Settings
from .setup import missing

INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_PER_HOST, INOTIFY_WANTED = 4, 8192
STARTERS = 2 * (os.cpu_count() or 2)
BOOTED = {"running", "degraded"}


class Lab:
    """The lab that `settings` names, whether it is up or not.

    The runtime is the truth about what is there; the state folder is for those who read it.
    """

    def __init__(self, settings: Settings, say: Callable[[str], None] = lambda _message: None) -> None:
        self.settings = settings
        self.say = say
        self.runtime = Runtime(settings)
        self.state = settings.state
        self.subnet = ""
        self.hosts: dict[str, Host] = {}
        self.pids: dict[str, tuple[int, int]] = {}  # host → its first process and when that started
        record = self.state / "lab.json"
        if record.exists():
            self._adopt(json.loads(record.read_text()))

    def _adopt(self, record: dict[str, object]) -> None:
        self.subnet = str(record["subnet"])
        self._set_hosts(list(record["hosts"]))  # type: ignore[call-overload]

    def _set_hosts(self, names: Iterable[str]) -> None:
        self.hosts = {name: Host(self, name, inventory.address(name, self.subnet)) for name in inventory.ordered(names)}

    @property
    def control(self) -> str:
        """This machine's address in the lab."""
        return inventory.gateway(self.subnet)

    @property
    def inventory(self) -> Path:
        """The generated inventory, usable with `ansible-playbook -i`."""
        return self.state / "hosts.yml"

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """One `up` or `down` of a lab at a time."""
        if os.geteuid() != 0:
            raise LabError("the lab's hosts need root (namespaces, networks): run this as root")
        for _left in ticks(300, every_s=0.2):
            if lock := _lock(self.state):
                with lock:
                    yield
                return
        raise LabError(f"somebody else has been starting or stopping lab {self.settings.name!r} for 300 s")

    # -- up --------------------------------------------------------------------------------------------------------

    def up(self, servers: int, clients: int, *, deadline_s: float = 180) -> None:
        """Make the lab have exactly these hosts, all answering. What is already there stays as it is."""
        for count in (servers, clients):
            if not 0 <= count <= inventory.MAX_PER_GROUP:
                raise LabError(f"{count} hosts in one group: a lab takes 0 to {inventory.MAX_PER_GROUP}")
        wanted = inventory.names(servers, clients)
        with self._alone():
            if absent := missing(self.settings):
                raise LabError(
                    f"not installed: {', '.join(sorted(absent))}; `python3 tests/lab/lab.py setup` installs it"
                )
            self._allow_inotify(len(wanted))
            tag = image.ensure(self.settings, self.say)
            public_key = self._key()
            self.subnet = self.runtime.network()
            self._set_hosts(wanted)
            expected = {host.container for host in self.hosts.values()}
            self._remove([name for name in self.runtime.containers() if name not in expected])
            self._start(tag, public_key)
            self.wait_ready(self.hosts, deadline_s=deadline_s)
            self._write()

    def _allow_inotify(self, hosts: int) -> None:
        """systemd needs inotify; with the default of 128 some 27 hosts start and later ones hang."""
        allowed = int(INOTIFY.read_text())
        if allowed < INOTIFY_WANTED and hosts * INOTIFY_PER_HOST > allowed - 40:
            INOTIFY.write_text(str(INOTIFY_WANTED))
            self.say(f"raised fs.inotify.max_user_instances from {allowed} to {INOTIFY_WANTED} (until the next boot)")

    def _key(self) -> str:
        key = self.state / "id_ed25519"
        if not key.exists():
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.settings.lab_id, "-f", str(key)])
        return key.with_suffix(".pub").read_text().strip()

    def _start(self, tag: str, public_key: str) -> None:
        known = self.runtime.inspect(self.runtime.containers())
        off = [
            host for host in self.hosts.values() if not known.get(host.container, {}).get("State", {}).get("Running")
        ]

        def start(host: Host) -> None:
            self.runtime.start(
                host.container, hostname=host.name, address=host.address, image=tag, public_key=public_key
            )

        for first in off[:1]:  # it brings the bridge into being
            start(first)
        if self.hosts:
            self.runtime.pin_bridge(self.control)
        with concurrent.futures.ThreadPoolExecutor(STARTERS) as pool:
            list(pool.map(start, off[1:]))

    def wait_ready(self, names: Iterable[str], *, deadline_s: float) -> None:
        """Wait until systemd has booted and sshd answers on each of the named hosts; note their host keys."""
        names = list(names)
        pids = {
            name: int(item["State"]["Pid"])
            for name, item in self.runtime.inspect(f"{self.settings.lab_id}-{name}" for name in names).items()
        }
        waiting = dict.fromkeys(names, "not looked at")
        for _left in ticks(deadline_s, every_s=0.2):
            for name in list(waiting):
                waiting[name] = self.missing(self.hosts[name], pids[self.hosts[name].container])
                if not waiting[name]:
                    del waiting[name]
            if not waiting:
                break
        if waiting:
            said = "; ".join(f"{name}: {why}" for name, why in waiting.items())
            raise LabError(f"not ready after {deadline_s:g} s: {said}")
        self._note_keys({name: pids[self.hosts[name].container] for name in names})

    def missing(self, host: Host, pid: int) -> str:
        """What is still missing on a host; empty when it is ready."""
        try:
            with socket.create_connection((host.address, 22), timeout=1) as connection:
                if not connection.recv(8).startswith(b"SSH-2.0"):
                    return "something else than sshd answers on port 22"
        except OSError as exc:
            return f"sshd does not answer ({exc})"
        state = run(host.enter("systemctl", "is-system-running", pid=pid), check=False).stdout.strip()
        return "" if state in BOOTED else f"systemd is {state or 'not answering'}"

    def _note_keys(self, pids: dict[str, int]) -> None:
        """Write known_hosts from the hosts' own files: nothing that came over the network is believed."""
        noted = self.state / "known_hosts"
        lines = (line.partition(" ") for line in (noted.read_text() if noted.exists() else "").splitlines())
        here = {host.address for host in self.hosts.values()}
        keys = {ip: key for ip, _unused, key in lines if ip in here}
        for name, pid in pids.items():
            keys[self.hosts[name].address] = Path(f"/proc/{pid}/root/etc/ssh/ssh_host_ed25519_key.pub").read_text()
        _replace(noted, inventory.known_hosts(keys))

    def _write(self) -> None:
        addresses = {name: host.address for name, host in self.hosts.items()}
        document = inventory.document(self.settings.lab_id, self.state, addresses)
        _replace(self.state / "inventory.json", json.dumps(document, indent=1))
        _replace(self.inventory, inventory.as_yaml(document))
        _replace(self.state / "ssh_config", inventory.ssh_config(self.state, addresses))
        _replace(self.state / "lab.json", json.dumps({"subnet": self.subnet, "hosts": list(addresses)}))

    def recorded_packets(self) -> contextlib.AbstractContextManager[packets.Recording]:
        """Record every packet between this machine and the hosts, with its time, for the length of a `with` block."""
        return packets.record(self.runtime.bridge(), self.control)

    def repair(self) -> None:
        """Undo what tests do to hosts: pauses, partitions, limits. `up` then starts those that are off."""
        known = self.runtime.inspect(self.runtime.containers())
        for host in self.hosts.values():
            state = known.get(host.container, {}).get("State", {"Running": False})
            if state.get("Paused"):
                host.unpause()
            if state["Running"]:
                host.heal()
                host.unlimit_cpu()
                host.unlimit_link()

    # -- down ------------------------------------------------------------------------------------------------------

    def down(self) -> None:
        """Remove everything the lab made: hosts, network, key, files, and ssh's own control sockets."""
        with self._alone():
            self.hosts = {}
            self._remove(self.runtime.containers())
            self.runtime.remove_network()
            shutil.rmtree(self.state)
        with contextlib.suppress(OSError):  # other labs are there
            self.state.parent.rmdir()

    def _remove(self, containers: list[str]) -> None:
        if containers:
            self.runtime.remove(containers)
            self._forget_connections()

    def _forget_connections(self) -> None:
        """End the ssh connections that Ansible keeps open to hosts that are gone."""
        living = {host.address for host in self.hosts.values()}
        for master in self._connections():
            if master.name.rpartition("-")[2] not in living:
                _end_connection(master)

    def end_connections(self) -> None:
        """End all of them: one that nobody uses says goodbye by itself, some time later, and somebody may listen."""
        for master in self._connections():
            _end_connection(master)

    def _connections(self) -> list[Path]:
        return list(Path("~/.ansible/cp").expanduser().glob(f"{self.settings.lab_id}-*198.18.*"))


def _end_connection(master: Path) -> None:
    run(["ssh", "-O", "exit", "-o", f"ControlPath={master}", "lab"], check=False, timeout_s=10)
    master.unlink(missing_ok=True)


def _lock(folder: Path) -> IO[str] | None:
    """The folder's lock (close it to let go), or None when somebody else has it or has just removed the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        try:
            lock = stack.enter_context((folder / "lock").open("w"))
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(lock.fileno()), (folder / "lock").stat()):
                return None
        except (BlockingIOError, FileNotFoundError):
            return None
        stack.pop_all()
        return lock


def _replace(path: Path, content: str) -> None:
    """Write a file so that a reader sees the old or the new one, never half of it."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(content)
    fresh.replace(path)
