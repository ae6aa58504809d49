# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of a test host: Debian 12 with systemd, sshd and Python, and nothing else, as a user's bare host.

It is made once and found again by its tag, which is derived from everything that goes into it. Either by debootstrap
(needs a Debian mirror only) or `FROM debian:12` (needs a container registry).
"""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from .commands import LabError, run, succeeds
from .settings import Settings

NAME = "localhost/netbench-lab"
CODENAME = "bookworm"
DEFAULT_MIRROR = "http://deb.debian.org/debian"
PACKAGES = (
    "ca-certificates", "dbus", "iproute2", "nftables", "openssh-server", "procps", "python3", "sudo", "systemd",
    "systemd-sysv",
)  # fmt: skip

INIT = """#!/bin/sh
# First process of a lab host: what a cloud would do at first boot, then systemd.
set -e
umask 022
mkdir -p /root/.ssh && chmod 700 /root/.ssh
[ -z "$NETBENCH_LAB_KEY" ] || printf '%s\\n' "$NETBENCH_LAB_KEY" > /root/.ssh/authorized_keys
[ -e /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -t ed25519 -N '' -C '' -f /etc/ssh/ssh_host_ed25519_key
# Network settings of a host are its own (its network namespace), so it may change them; other settings are not.
mount --bind /proc/sys/net /proc/sys/net && mount -o remount,bind,rw /proc/sys/net
unset NETBENCH_LAB_KEY
exec /sbin/init
"""
SSHD = """HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
PasswordAuthentication no
MaxSessions 50
MaxStartups 50
"""
FINISH = """#!/bin/sh
# Turns a minimal Debian into the image of a lab host.
set -e
chmod 755 /usr/local/sbin/lab-init
systemctl mask -q systemd-udevd.service systemd-udev-trigger.service systemd-udevd-control.socket \\
    systemd-udevd-kernel.socket systemd-modules-load.service systemd-pstore.service getty.target \\
    console-getty.service apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer
systemctl enable -q ssh.service
rm -rf /etc/ssh/ssh_host_* /var/lib/apt/lists/* /var/cache/apt/archives/*.deb /var/log/*.log /var/lib/dbus/machine-id
: > /etc/machine-id
"""
CONTAINERFILE = """FROM debian:12
COPY files/ /
RUN apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends {packages} \\
    && sh /usr/local/sbin/lab-finish && rm /usr/local/sbin/lab-finish
CMD ["/usr/local/sbin/lab-init"]
"""


def _apt_sources() -> str:
    """One-line sources of this machine's Debian mirrors for the image's release, so that hosts can install packages."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"],
        capture_output=True, text=True, check=False,
    ).stdout.split("\n")  # fmt: skip
    ours = sorted({line for line in listed if f" {CODENAME}" in line and "/debian" in line})
    return "".join(f"deb {line}\n" for line in ours) or "".join(
        f"deb {uri} {suite} main\n"
        for uri, suite in (
            (DEFAULT_MIRROR, CODENAME),
            (DEFAULT_MIRROR, f"{CODENAME}-updates"),
            ("http://deb.debian.org/debian-security", f"{CODENAME}-security"),
        )
    )


def _apt_options() -> str:
    """This machine's own ways of reaching its mirrors (proxies, validity of old snapshots)."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout.split("\n")
    kept = ("Acquire::http::", "Acquire::https::", "Acquire::Check-")
    return "".join(f"{line}\n" for line in dump if line.startswith(kept))


def files(settings: Settings) -> dict[str, str]:
    """Path in the image → content, of the files we add."""
    added = {
        "usr/local/sbin/lab-init": INIT,
        "usr/local/sbin/lab-finish": FINISH,
        "etc/ssh/sshd_config.d/lab.conf": SSHD,
    }
    if settings.image == "debootstrap":
        added["etc/apt/sources.list"] = _apt_sources()
        added["etc/apt/apt.conf.d/90lab"] = _apt_options()
    return added


def tag(settings: Settings) -> str:
    """Name of the image these settings need; a change of any input is a change of the tag."""
    inputs = [settings.image, CODENAME, platform.machine(), PACKAGES, CONTAINERFILE, files(settings)]
    return f"{NAME}:{hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:12]}"


def ensure(settings: Settings, say: Callable[[str], None]) -> str:
    """Return the tag of the image, which is made first when it is not there."""
    wanted = tag(settings)
    if succeeds([settings.runtime, "image", "inspect", wanted]):
        return wanted
    say(f"making the image {wanted} by {settings.image}, once: about a minute")
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="netbench-lab-", dir="/var/tmp") as scratch:
        (_debootstrap if settings.image == "debootstrap" else _from_registry)(settings, wanted, Path(scratch))
    say(f"image made in {time.monotonic() - started:.0f} s")
    return wanted


def _write(files_: dict[str, str], root: Path) -> None:
    for name, content in files_.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def _debootstrap(settings: Settings, wanted: str, scratch: Path) -> None:
    root = scratch / "root"
    added = files(settings)
    sources = (line.split() for line in added["etc/apt/sources.list"].splitlines())
    mirror = next((uri for _deb, uri, release, *_unused in sources if release == CODENAME), DEFAULT_MIRROR)
    run(
        ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", CODENAME, str(root), mirror],
        timeout_s=900,
    )
    _write(added, root)
    run(["chroot", str(root), "sh", "/usr/local/sbin/lab-finish"])
    (root / "usr/local/sbin/lab-finish").unlink()
    pipeline = f"tar -C {root} -c . | {settings.runtime} import - {wanted}"
    run(["bash", "-o", "pipefail", "-c", pipeline], timeout_s=300)


def _from_registry(settings: Settings, wanted: str, scratch: Path) -> None:
    _write(files(settings), scratch / "files")
    (scratch / "Containerfile").write_text(CONTAINERFILE.format(packages=" ".join(PACKAGES)))
    try:
        run(
            [settings.runtime, "build", "-f", str(scratch / "Containerfile"), "-t", wanted, str(scratch)], timeout_s=900
        )
    except LabError as exc:
        raise LabError(
            f"{exc}\nWithout a container registry, install debootstrap: then the image comes from a Debian mirror"
        ) from exc
