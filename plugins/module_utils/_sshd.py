# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether this host's ssh server speaks on idle connections: its ``ClientAliveInterval``. Private to this collection.

Root asks sshd itself (``sshd -T``), for the very connection that this process came by. Others read its configuration,
where they may. Format: sshd_config(5).
"""

from __future__ import annotations

import glob
import os
import re
import shutil
import subprocess

CONFIGURATION = "/etc/ssh/sshd_config"
_DEPTH = 16  # sshd's own limit of includes in includes
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PATH = "/usr/sbin:/sbin:/usr/local/sbin:/usr/bin:/bin"


def keepalive_s(environ=None, configuration=CONFIGURATION):
    """Seconds of silence after which this host's ssh server sends something; 0 for never, None when nobody can tell."""
    found = _asked(environ or os.environ) if os.getuid() == 0 else None
    return configured(configuration) if found is None else found


def _asked(environ):
    """What sshd says; None when it cannot be asked. ``-C`` makes it look at Match blocks."""
    sshd = shutil.which("sshd", path=_PATH)
    if not sshd:
        return None
    parts = environ.get("SSH_CONNECTION", "").split()
    criteria = ["user=" + (environ.get("SUDO_USER") or environ.get("USER") or "root")]
    if len(parts) == 4:
        criteria += ["host=" + parts[0], "addr=" + parts[0], "laddr=" + parts[2], "lport=" + parts[3]]
    options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": 10}
    for chosen in (["-C", ",".join(criteria)], []):
        try:
            done = subprocess.run([sshd, "-T", *chosen], check=False, **options)
        except (OSError, subprocess.TimeoutExpired):
            return None
        for line in done.stdout.splitlines():
            word, _space, value = line.partition(" ")
            if word == "clientaliveinterval" and done.returncode == 0:
                return seconds(value)
    return None


def configured(path):
    """The same by reading. Who a Match block is meant for is not looked into: the shortest interval of all counts."""
    texts = list(_texts(path, 0))
    if not texts or None in texts:
        return None
    found = [value for text in texts for value in intervals(text)]
    return min((value for value in found if value), default=0)


def _texts(path, depth):
    """The contents of a configuration and of what it includes; None for one that may not be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            text = stream.read()
    except OSError:
        yield None
        return
    yield text
    for pattern in includes(text) if depth < _DEPTH else ():
        for name in sorted(glob.glob(os.path.join(os.path.dirname(CONFIGURATION), pattern))):
            yield from _texts(name, depth + 1)


def intervals(text):
    """Every ``ClientAliveInterval`` of a configuration's text, in seconds."""
    return [each for each in map(seconds, _values(text, "clientaliveinterval")) if each is not None]


def includes(text):
    """The patterns of its ``Include`` lines."""
    return [pattern for value in _values(text, "include") for pattern in value.replace('"', " ").split()]


def _values(text, keyword):
    for line in text.splitlines():
        word, *value = re.split(r"[\s=]+", line.strip(), maxsplit=1)
        if value and word.lower() == keyword:
            yield value[0].partition("#")[0].strip()


def seconds(text):
    """``90``, ``90s``, ``1m30s`` in seconds; None when it is no time."""
    if not re.fullmatch(r"(\d+[smhdw]?)+", text.strip().lower()):
        return None
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhdw]?)", text.strip().lower()))
