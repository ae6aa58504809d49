# SPDX-License-Identifier: GPL-3.0-or-later
"""One host of the lab: look into it, break it, repair it.

Everything here goes through the kernel's namespaces and the container runtime, never through ssh, so it works on a host
that is cut off and adds no packet to what is being counted. It needs root.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeGuard

from .commands import LabError, run

if TYPE_CHECKING:
    from .lab import Lab

CUT = "netbench_lab_cut"
COUNT = "netbench_lab_count"
ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "LC_ALL": "C.UTF-8",
}
CGROUPS = Path("/sys/fs/cgroup")
CPU_PERIOD_US = 100_000


@dataclass(frozen=True)
class Packets:
    """IP packets between the control node and one host, counted on the host."""

    to_host: int
    from_host: int
    to_host_bytes: int
    from_host_bytes: int

    @property
    def total(self) -> int:
        """Both directions."""
        return self.to_host + self.from_host

    def __sub__(self, before: Packets) -> Packets:
        """What came between two readings."""
        return Packets(
            self.to_host - before.to_host,
            self.from_host - before.from_host,
            self.to_host_bytes - before.to_host_bytes,
            self.from_host_bytes - before.from_host_bytes,
        )


@dataclass(frozen=True)
class Listener:
    """A socket on which a host waits for the network."""

    protocol: str
    address: str
    port: int
    process: str
    pid: int


def _started(pid: int) -> int:
    """When a process started, in clock ticks since boot: with the pid, it names the process for good."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])


def _index(interface: Path) -> str:
    """Its number; empty when it has just gone."""
    try:
        return (interface / "ifindex").read_text().strip()
    except OSError:
        return ""


def _same_process(known: tuple[int, int] | None) -> TypeGuard[tuple[int, int]]:
    try:
        return known is not None and _started(known[0]) == known[1]
    except OSError:
        return False


@dataclass(frozen=True)
class Host:
    """A host by name; it stays valid when the host restarts."""

    lab: Lab
    name: str
    address: str

    @property
    def container(self) -> str:
        """The runtime's name of this host."""
        return f"{self.lab.settings.lab_id}-{self.name}"

    @property
    def pid(self) -> int:
        """Process id, on this machine, of the host's first process."""
        if not _same_process(known := self.lab.pids.get(self.name)):
            state = self.lab.runtime.inspect([self.container])[self.container]["State"]
            if not state["Running"]:
                raise LabError(f"{self.name} is not running ({state['Status']})")
            known = self.lab.pids[self.name] = (int(state["Pid"]), _started(int(state["Pid"])))
        return known[0]

    # -- look ------------------------------------------------------------------------------------------------------

    def run(
        self, *argv: str, check: bool = True, timeout_s: float = 60, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in the host as root. Some 5 ms, where the runtime's own `exec` takes 150."""
        return run(
            self.enter(*argv), check=check, timeout_s=timeout_s, stdin=stdin,
            env=ENVIRONMENT,
        )  # fmt: skip

    def enter(self, *argv: str, pid: int | None = None) -> list[str]:
        """The command that runs `argv` in the host's namespaces, for callers that want their own Popen."""
        return ["nsenter", "-t", str(pid or self.pid), "-m", "-u", "-i", "-n", "-p", "-C", "--wd=/", "--", *argv]

    def shell(self, script: str, *, check: bool = True, timeout_s: float = 60) -> str:
        """Run a shell script in the host; return what it printed."""
        return self.run("sh", "-ec", script, check=check, timeout_s=timeout_s).stdout

    def path(self, inside: str) -> Path:
        """A file of the running host as seen from here (follows no link out of the host's own tree by itself)."""
        return Path(f"/proc/{self.pid}/root") / inside.lstrip("/")

    def listening(self) -> list[Listener]:
        """Sockets that wait for the network: TCP in LISTEN, and UDP that is bound (loopback included)."""
        found = []
        for line in self.run("ss", "-Hltunp").stdout.splitlines():
            protocol, _state, _receive, _send, local, _peer, *owner = line.split(None, 6)
            ip, _unused, port = local.rpartition(":")
            who = re.search(r'\("([^"]*)",pid=(\d+)', owner[0]) if owner else None
            found.append(
                Listener(protocol, ip.strip("[]"), int(port), who[1] if who else "", int(who[2]) if who else 0)
            )
        return found

    def processes(self, pattern: str = ".") -> dict[int, str]:
        """Pid in the host → command line, of the processes whose command line matches the regular expression."""
        found = {}
        for line in self.run("ps", "-eo", "pid=,args=").stdout.splitlines():
            pid, _unused, args = line.strip().partition(" ")
            if re.search(pattern, args) and not args.startswith("ps -eo"):
                found[int(pid)] = args.strip()
        return found

    # -- packets ---------------------------------------------------------------------------------------------------

    def _nft(self, *argv: str, script: str | None = None) -> str:
        """Run this machine's nft in the host's own network namespace."""
        return run(["nsenter", "-t", str(self.pid), "-n", "--", "nft", *argv], stdin=script).stdout

    def _rules(self, script: str) -> None:
        self._nft("-f", "-", script=script)

    def count_packets(self) -> None:
        """Start counting, from zero, the IP packets that pass between the control node and this host."""
        control = self.lab.control
        self._rules(f"""
            add table inet {COUNT}
            delete table inet {COUNT}
            table inet {COUNT} {{
                counter to_host {{ }}
                counter from_host {{ }}
                chain into {{ type filter hook input priority -310; ip saddr {control} counter name to_host; }}
                chain out {{ type filter hook output priority -310; ip daddr {control} counter name from_host; }}
            }}""")

    def packets(self) -> Packets:
        """Read the counters that `count_packets` started. Reading sends nothing."""
        read = json.loads(self._nft("-j", "list", "counters", "table", "inet", COUNT))
        by_name = {item["counter"]["name"]: item["counter"] for item in read["nftables"] if "counter" in item}
        into, out = by_name["to_host"], by_name["from_host"]
        return Packets(into["packets"], out["packets"], into["bytes"], out["bytes"])

    # -- break and repair ------------------------------------------------------------------------------------------

    def partition(self, *peers: str) -> None:
        """Drop, both ways and without a word, packets to and from `peers` (addresses); without peers, all of them."""
        only = f"{{ {', '.join(peers)} }}"
        into = f"ip saddr {only} drop" if peers else 'iifname != "lo" drop'
        out = f"ip daddr {only} drop" if peers else 'oifname != "lo" drop'
        self._rules(f"""
            add table inet {CUT}
            delete table inet {CUT}
            table inet {CUT} {{
                chain into {{ type filter hook input priority -300; {into}; }}
                chain out {{ type filter hook output priority -300; {out}; }}
            }}""")

    def drop_connections(self, peer: str, ports: list[int]) -> None:
        """Drop what passes between the host's sshd and these ports of `peer`: connections that are half open."""
        theirs = f"{{ {', '.join(map(str, ports))} }}"
        self._rules(f"""
            add table inet {CUT}
            delete table inet {CUT}
            table inet {CUT} {{
                chain into {{ type filter hook input priority -300; ip saddr {peer} tcp sport {theirs} drop; }}
                chain out {{ type filter hook output priority -300; ip daddr {peer} tcp dport {theirs} drop; }}
            }}""")

    def heal(self) -> None:
        """Undo `partition` and `drop_connections`; nothing happens when there was neither."""
        self._rules(f"add table inet {CUT}\ndelete table inet {CUT}")

    @contextlib.contextmanager
    def partitioned(self, *peers: str) -> Iterator[None]:
        """Partition for the length of a `with` block."""
        self.partition(*peers)
        try:
            yield
        finally:
            self.heal()

    def kill(self, pid: int, signal: str = "KILL") -> None:
        """Send a signal to a process of the host, by its pid in the host."""
        self.run("kill", "-s", signal.removeprefix("SIG"), str(pid))

    def pause(self) -> None:
        """Freeze every process of the host; its network stack goes on answering."""
        self.lab.runtime("pause", self.container)

    def unpause(self) -> None:
        """Undo `pause`."""
        self.lab.runtime("unpause", self.container)

    def stop(self) -> None:
        """Switch the host off, as by its power cord."""
        self.lab.runtime.switch_off(self.container)

    def start(self, *, deadline_s: float = 60) -> None:
        """Switch the host on and wait until sshd answers. Rules of nftables are gone, as after any boot."""
        self.lab.runtime("start", self.container)
        self.lab.runtime.pin_bridge(self.lab.control)
        self.lab.wait_ready([self.name], deadline_s=deadline_s)

    def restart(self, *, deadline_s: float = 60) -> None:
        """Reboot: every process ends at once, files stay, /run and /tmp are empty."""
        self.stop()
        self.start(deadline_s=deadline_s)

    @property
    def running(self) -> bool:
        """Whether the runtime says that the host is up (a paused one is)."""
        return bool(self.lab.runtime.inspect([self.container])[self.container]["State"]["Running"])

    def limit_cpu(self, cores: float) -> None:
        """Make the host slow: all its processes together get this much CPU. What `run` starts is not limited."""
        self._set_cpu_quota(str(round(cores * CPU_PERIOD_US)))

    def unlimit_cpu(self) -> None:
        """Undo `limit_cpu`."""
        self._set_cpu_quota("")

    def limit_link(self, rate_bps: int) -> None:
        """Make the host's link narrow, each way: a queue on either end of its interface."""
        queue = ("root", "tbf", "rate", f"{rate_bps}bit", "burst", "256kb", "latency", "5ms")
        for command in self._both_ends():
            run(command("replace", *queue))

    def unlimit_link(self) -> None:
        """Undo `limit_link`."""
        for command in self._both_ends():
            run(command("del", "root"), check=False)

    def _both_ends(self) -> list[Callable[..., list[str]]]:
        """How to change the queue of the host's interface, and of the one of this machine at which it hangs."""
        index = self.shell("cat /sys/class/net/eth0/iflink").strip()
        others = [path.name for path in Path("/sys/class/net").iterdir() if _index(path) == index]
        if not others:
            raise LabError(f"{self.name}: its interface has no other end on this machine")

        def here(verb: str, *queue: str) -> list[str]:
            return ["tc", "qdisc", verb, "dev", others[0], *queue]

        def inside(verb: str, *queue: str) -> list[str]:
            return ["nsenter", "-t", str(self.pid), "-n", "--", "tc", "qdisc", verb, "dev", "eth0", *queue]

        return [here, inside]

    def times_throttled(self) -> int:
        """How often `limit_cpu` has held the host back so far."""
        stat = dict(line.split() for line in (self._cpu_group() / "cpu.stat").read_text().splitlines())
        return int(stat["nr_throttled"])

    def _set_cpu_quota(self, quota_us: str) -> None:
        """Through the cgroup's own files: a runtime's `update` can set a limit, but runc's cannot lift one."""
        group = self._cpu_group()
        if (group / "cpu.max").exists():
            (group / "cpu.max").write_text(f"{quota_us or 'max'} {CPU_PERIOD_US}")
        else:
            (group / "cpu.cfs_quota_us").write_text(quota_us or "-1")

    def _cpu_group(self) -> Path:
        """The host's cgroup of the CPU controller, version 1 or 2."""
        for line in Path(f"/proc/{self.pid}/cgroup").read_text().splitlines():
            _number, controllers, path = line.split(":", 2)
            group = CGROUPS / controllers / path.lstrip("/").removesuffix("/init.scope")
            if "cpu" in controllers.split(",") or (not controllers and (group / "cpu.max").exists()):
                return group
        raise LabError(f"{self.name}: no cgroup with a CPU controller")
