# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials in URLs are used, and shown nowhere."""

from __future__ import annotations

import base64
import re
from urllib.parse import quote

from ansible_collections.netbench.orchestrator.plugins.module_utils._tools.credentials import address
from hypothesis import given
from hypothesis import strategies as st

secrets = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=30)


@given(user=secrets, password=secrets)
def test_no_shape_of_a_password_survives(user: str, password: str) -> None:
    url = f"https://{quote(user, safe='')}:{quote(password, safe='')}@example.org/a/x.git"
    found = address(url)
    assert (found.url, found.user, found.password) == ("https://example.org/a/x.git", user, password)
    encoded = base64.b64encode(f"{user}:{password}".encode()).decode()
    said = found.scrub(f"fatal: {url} {password} Authorization: Basic {encoded}")
    for secret in (password, quote(password, safe=""), encoded):
        assert secret not in said.replace("********", "")
    assert password not in repr(found)
    assert url not in " ".join(found.git_environment())


def test_a_token_in_the_place_of_the_user_is_a_secret() -> None:
    found = address("https://ghp_token123@example.org/x.git")
    assert found.scrub("remote: ghp_token123 is not valid") == "remote: ******** is not valid"


def test_the_header_is_for_the_one_server() -> None:
    variables = address("https://u:p@example.org:8443/x.git").git_environment()
    assert variables["GIT_CONFIG_KEY_0"] == "http.https://example.org:8443/.extraHeader"
    assert re.fullmatch(r"Authorization: Basic \S+", variables["GIT_CONFIG_VALUE_0"])


def test_ssh_users_and_plain_paths_stay() -> None:
    for url in ("ssh://git@example.org/x.git", "git@example.org:a/x.git", "/srv/x.git", "https://example.org/x.git"):
        assert address(url).url == url
        assert address(url).authorization == ""
        assert address(url).git_environment()["GIT_TERMINAL_PROMPT"] == "0"


def test_credentials_of_other_urls_are_taken_out_too() -> None:
    assert address("https://example.org/x").scrub("see https://a:b@other.org/y") == "see https://other.org/y"
