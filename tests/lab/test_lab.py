# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab does what the fault tests and benchmarks believe it does. On real hosts of its own; skipped without root."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path

import pytest
from netbench_lab.commands import LabError, wait_for
from netbench_lab.fixtures import LabOf
from netbench_lab.host import Host
from netbench_lab.lab import Lab


@pytest.fixture
def lab(lab_of: LabOf) -> Lab:
    return lab_of(servers=2, clients=1)


@pytest.fixture
def host(lab: Lab) -> Host:
    return lab.hosts["server1"]


def ssh(lab: Lab, name: str, *argv: str) -> subprocess.CompletedProcess[str]:
    command = ["ssh", "-F", str(lab.state / "ssh_config"), "-o", "BatchMode=yes", "-o", "ConnectTimeout=2", name, *argv]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def answers(address: str) -> bool:
    try:
        with socket.create_connection((address, 22), timeout=0.7) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def test_ssh_knows_the_hosts_and_nobody_else(lab: Lab) -> None:
    assert ssh(lab, "server2", "hostname").stdout == "server2\n"
    known = lab.state / "known_hosts"
    genuine = known.read_text()
    lines = {line.split()[0]: line for line in genuine.splitlines()}
    one, other = lab.hosts["server1"].address, lab.hosts["server2"].address
    try:
        known.write_text(lines[one].replace(one, other) + "\n")
        refused = ssh(lab, "server2", "hostname")
    finally:
        known.write_text(genuine)
    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr


def test_hosts_are_bare_and_listen_on_ssh_only(lab: Lab) -> None:
    for host in lab.hosts.values():
        assert {(found.protocol, found.port, found.process) for found in host.listening()} == {("tcp", 22, "sshd")}
    assert host.run("which", "gcc", "rsync", "curl", check=False).stdout == ""
    assert host.shell("systemctl is-system-running").strip() == "running"
    assert host.shell("cat /sys/class/net/eth0/mtu").strip() == str(lab.settings.mtu)


def test_partition_from_everybody_and_from_control_only(lab: Lab, host: Host) -> None:
    probe = f"import socket; socket.create_connection(('{host.address}', 22), 0.7)"
    neighbour = lab.hosts["client1"]
    assert answers(host.address)
    with host.partitioned():
        assert not answers(host.address)
        assert neighbour.run("python3", "-c", probe, check=False).returncode == 1
        assert host.run("true").returncode == 0
    assert answers(host.address)
    with host.partitioned(lab.control):
        assert not answers(host.address)
        assert neighbour.run("python3", "-c", probe).returncode == 0
    assert answers(host.address)


def test_packets_are_counted_to_the_packet(lab: Lab, host: Host) -> None:
    host.count_packets()
    assert host.packets().total == 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, lab.recorded_packets() as recorded:
        for _unused in range(7):
            sender.sendto(
                b"x" * 72, (host.address, 22)
            )  # nobody waits there: seven ICMP answers, or fewer by rate limit
        wait_for("the packets arrive", lambda: host.packets().to_host == 7, deadline_s=2)
        counted = host.packets()
    assert counted.to_host_bytes == 7 * 100
    assert 1 <= counted.from_host <= 7
    seen = recorded.between(host.address)
    assert len([packet for packet in seen if packet.to_host]) == 7
    assert len([packet for packet in seen if not packet.to_host]) == counted.from_host
    assert (host.packets() - counted).total == 0
    lab.hosts["client1"].run("python3", "-c", f"import socket; socket.create_connection(('{host.address}', 22), 0.7)")
    assert (host.packets() - counted).total == 0, "packets between hosts do not count"


def test_kill_and_processes(host: Host) -> None:
    with subprocess.Popen(host.enter("sleep", "1234")) as sleeper:
        wait_for("the process runs", lambda: "sleep 1234" in host.processes().values(), deadline_s=5)
        (pid,) = host.processes(r"^sleep 1234$")
        host.kill(pid, "SIGTERM")
        assert sleeper.wait(timeout=5) in (-15, 143)
    assert not host.processes(r"^sleep 1234$")


def test_restart_keeps_files_and_keys_and_forgets_the_rest(lab: Lab, host: Host) -> None:
    host.shell("echo kept > /root/kept; echo gone > /run/gone")
    before = (lab.state / "known_hosts").read_text()
    host.partition()
    host.restart()
    assert host.shell("cat /root/kept; ls /run/gone 2>&1 || true").startswith("kept\nls: cannot access")
    assert (lab.state / "known_hosts").read_text() == before
    assert ssh(lab, host.name, "true").returncode == 0


def test_hosts_never_miss_each_other_when_one_restarts(lab: Lab, host: Host) -> None:
    neighbours = [other for other in lab.hosts.values() if other is not host]
    for _attempt in range(3):
        host.partition()
        host.restart()
        assert host.run("nft", "list", "tables").stdout == ""
        assert all(answers(other.address) for other in neighbours)
        probe = f"import socket; socket.create_connection(('{host.address}', 22), 3)"
        for other in neighbours:
            other.run("python3", "-c", probe)


def test_switched_off_is_off(lab: Lab, host: Host) -> None:
    host.stop()
    assert not host.running
    with pytest.raises(LabError, match="server1 is not running"):
        host.run("true")
    host.start()
    assert answers(host.address)


def test_pause_freezes_processes_only(host: Host) -> None:
    host.pause()
    try:
        with socket.create_connection((host.address, 22), timeout=2) as connection:
            connection.settimeout(0.5)
            with pytest.raises(TimeoutError):
                connection.recv(4)
    finally:
        host.unpause()
    assert answers(host.address)


def test_slow_host_is_held_back_until_it_is_not(lab: Lab, host: Host) -> None:
    def held_back() -> int:
        before = host.times_throttled()
        lab.runtime("exec", host.container, "timeout", "1", "sh", "-c", "while :; do :; done", check=False)
        return host.times_throttled() - before

    assert held_back() == 0
    host.limit_cpu(0.02)
    try:
        assert held_back() >= 5
    finally:
        host.unlimit_cpu()
    assert held_back() == 0


def test_up_twice_grow_shrink_and_nothing_left(lab_of: LabOf) -> None:
    lab = lab_of(servers=1, clients=1, name="size")
    started = lab.hosts["server1"].shell("cat /proc/sys/kernel/random/boot_id; stat -c %Y /run/systemd").strip()
    lab.up(1, 1)
    lab.up(2, 1)
    assert sorted(lab.hosts) == ["client1", "server1", "server2"]
    assert lab.hosts["server1"].shell("cat /proc/sys/kernel/random/boot_id; stat -c %Y /run/systemd").strip() == started
    lab.up(1, 0)
    assert lab.runtime.containers() == [lab.hosts["server1"].container]
    lab.down()
    assert lab.runtime.containers() == []
    assert not lab.state.exists()
    assert not lab.runtime("network", "ls", "--filter", f"name={lab.settings.lab_id}", "--format", "{{.Name}}").strip()
    assert not list(Path("~/.ansible/cp").expanduser().glob(f"{lab.settings.lab_id}-*"))


def test_labs_side_by_side_have_networks_of_their_own(lab: Lab, lab_of: LabOf) -> None:
    other = lab_of(servers=1, clients=0, name="beside")
    assert other.subnet != lab.subnet
    assert answers(lab.hosts["server1"].address)
    other.down()
    assert answers(lab.hosts["server1"].address)
