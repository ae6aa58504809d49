# SPDX-License-Identifier: GPL-3.0-or-later
"""The container runtime: networks and containers of one lab, by name. The only place that knows podman from docker."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from .commands import LabError, run, succeeds, wait_for
from .settings import Settings

CAPABILITIES = (  # what a server's root has; not SYS_TIME: the clock is the machine's own
    "IPC_LOCK", "NET_ADMIN", "NET_RAW", "PERFMON", "SYS_ADMIN", "SYS_NICE", "SYS_PTRACE", "SYS_RESOURCE",
)  # fmt: skip
NETWORKS = range(1, 250)


def subnet(third: int) -> str:
    """Networks of the labs: 198.18.1.0/24 and on, from the range that RFC 2544 reserves for benchmarks."""
    return f"198.18.{third}.0/24"


def mac(address: str) -> str:
    """A host keeps its hardware address when it restarts, so that its neighbours' ARP caches stay right."""
    return ":".join(["02", "6e", *(f"{int(byte):02x}" for byte in address.split("."))])


class Runtime:
    """Containers and the network of the lab that `settings` names."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.label = f"netbench.lab={settings.lab_id}"

    def _argv(self, *args: str) -> list[str]:
        engine = ("--runtime", self.settings.engine) if self.settings.engine else ()
        return [self.settings.runtime, *engine, *args]

    def __call__(self, *args: str, timeout_s: float = 60, check: bool = True) -> str:
        return run(self._argv(*args), timeout_s=timeout_s, check=check).stdout

    def containers(self) -> list[str]:
        """Names of this lab's containers, in whatever state."""
        return sorted(self("ps", "-a", "--filter", f"label={self.label}", "--format", "{{.Names}}").split())

    def inspect(self, names: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Container name → what the runtime knows about it, in one call."""
        names = list(names)
        if not names:
            return {}
        return {item["Name"].lstrip("/"): item for item in json.loads(self("container", "inspect", *names))}

    def start(self, container: str, *, hostname: str, address: str, image: str, public_key: str) -> None:
        """Start a new host, or an existing one that is not running."""
        if succeeds(self._argv("container", "inspect", container)):
            self("start", container)
            return
        special = (
            ("--systemd=always",)
            if self.settings.runtime == "podman"
            else ("--cgroupns=private", "--privileged", *(f"--tmpfs={path}" for path in ("/run", "/run/lock", "/tmp")))
        )
        self(
            "run", "--detach", "--name", container, "--hostname", hostname, "--label", self.label,
            "--network", self.settings.lab_id, "--ip", address, "--mac-address", mac(address),
            "--ulimit", "nofile=4096:4096", "--ulimit", "nproc=8192:8192", "--pids-limit", "8192",
            *(f"--cap-add={name}" for name in CAPABILITIES), *special,
            "--env", f"NETBENCH_LAB_KEY={public_key}", image, "/usr/local/sbin/lab-init",
        )  # fmt: skip

    def remove(self, containers: Iterable[str]) -> None:
        """Stop and remove hosts, at once."""
        if names := list(containers):
            self(
                "rm", "--force", *(("--time", "0") if self.settings.runtime == "podman" else ()), *names, timeout_s=300
            )

    def network(self) -> str:
        """Create the lab's network when it is not there; return its subnet."""
        if not succeeds(self._argv("network", "inspect", self.settings.lab_id)):
            self._create_network()
        return self._subnet_of(json.loads(self("network", "inspect", self.settings.lab_id))[0])

    def _create_network(self) -> None:
        in_use = run(["ip", "-4", "route"]).stdout
        mtu = str(self.settings.mtu)
        options = (
            ("--disable-dns", "--opt", f"mtu={mtu}")
            if self.settings.runtime == "podman"
            else ("--opt", f"com.docker.network.driver.mtu={mtu}")
        )
        refused = ""
        for third in NETWORKS:
            if subnet(third) in in_use:
                continue
            argv = self._argv(
                "network", "create", "--label", self.label, *options, "--subnet", subnet(third), self.settings.lab_id
            )
            made = run(argv, check=False)
            if made.returncode == 0:
                return
            refused = made.stderr.strip()
            if not any(word in refused for word in ("already used", "already being used", "overlap")):
                break
        raise LabError(f"no network could be made for the lab: {refused or 'all of 198.18.0.0/16 is in use'}")

    def _subnet_of(self, network: dict[str, Any]) -> str:
        if self.settings.runtime == "podman":
            return str(network["subnets"][0]["subnet"])
        return str(network["IPAM"]["Config"][0]["Subnet"])

    def bridge(self) -> str:
        """Name of the network's interface on this machine."""
        network = json.loads(self("network", "inspect", self.settings.lab_id))[0]
        return str(network["network_interface"] if self.settings.runtime == "podman" else f"br-{network['Id'][:12]}")

    def pin_bridge(self, control: str) -> None:
        """Give the bridge a hardware address of its own.

        Otherwise it borrows one of a host's, changes it when that host goes, and the other hosts miss the control node
        until their ARP caches age: most of a minute.
        """
        run(["ip", "link", "set", "dev", self.bridge(), "address", mac(control)])

    def switch_off(self, container: str) -> None:
        """Kill a host and let go of its network, which podman would otherwise sometimes use again, rules and all."""
        self("kill", "--signal", "KILL", container, check=False)
        wait_for(
            f"{container} is off", lambda: not self.inspect([container])[container]["State"]["Running"], deadline_s=20
        )
        if self.settings.runtime == "podman":
            self("container", "cleanup", container)

    def remove_network(self) -> None:
        """Remove the lab's network, if there is one."""
        if succeeds(self._argv("network", "inspect", self.settings.lab_id)):
            self("network", "rm", self.settings.lab_id)
