# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials in URLs: taken out, handed to git and HTTP without showing them. Private to this collection.

A URL such as ``https://user:token@example.org/x.git`` may come from a vault. The address without its credentials is all
that is written down, shown, or put on a command line; the credentials travel in the environment of the one child that
needs them, which other users of the machine cannot read.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit, urlunsplit

_ANY_CREDENTIALS = re.compile(r"(?<=://)[^/\s@'\"]+@")


@dataclass(frozen=True)
class Address:
    """A URL without its credentials, and the credentials."""

    url: str
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"Address({self.url!r})"

    @property
    def authorization(self) -> str:
        """The value of an HTTP ``Authorization`` header, or nothing."""
        if not (self.user or self.password):
            return ""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()

    def git_environment(self) -> dict[str, str]:
        """Variables that make git authenticate, for this server only, and never ask."""
        never_ask = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "true", "GIT_SSH_COMMAND": "ssh -o BatchMode=yes"}
        if not self.authorization:
            return never_ask
        parts = urlsplit(self.url)
        return {
            **never_ask,
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{parts.scheme}://{parts.netloc}/.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: {self.authorization}",
        }

    def scrub(self, text: str) -> str:
        """`text` without these credentials, in every shape they may have taken, nor any other URL's."""
        shapes = {self.password, unquote(self.password), self.authorization.replace("Basic ", "")}
        if not self.password:  # a token in the user's place
            shapes |= {self.user, unquote(self.user)}
        for secret in sorted(filter(None, shapes), key=len, reverse=True):
            text = text.replace(secret, "********")
        return _ANY_CREDENTIALS.sub("", text)


def address(url: str) -> Address:
    """Take a URL apart. For ssh the user is part of the address, and stays."""
    parts = urlsplit(url)
    userinfo, at, host = parts.netloc.rpartition("@")
    if not at or parts.scheme in ("ssh", "git+ssh"):
        return Address(url)
    user, _colon, password = userinfo.partition(":")
    return Address(urlunsplit(parts._replace(netloc=host)), unquote(user), unquote(password))
