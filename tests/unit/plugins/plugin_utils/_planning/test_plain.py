# SPDX-License-Identifier: GPL-3.0-or-later
"""What Ansible has read, made plain; what YAML's aliases can make of a page of text is refused at once."""

from __future__ import annotations

import datetime

import pytest
import yaml
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol.schema import SchemaError
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.documents import (
    FileProblem,
    read_json,
    read_yaml,
)
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.plain import plain

LAUGHS = "a0: &a0 [ha, ha]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
ITSELF = "a: &a [*a]\n"
DEEP = "a: " + "[" * 200 + "]" * 200 + "\n"
DEEPER = "[" * 20_000


class Tagged(str):
    """As Ansible's: a text that is more than one."""


def test_tags_and_types_go() -> None:
    found = plain({"a": Tagged("x"), 1: (True, None, 1.5), None: datetime.date(2026, 11, 21)})
    assert found == {"a": "x", "1": [True, None, 1.5], "null": "2026-11-21"}
    assert not isinstance(found["a"], Tagged)


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (yaml.safe_load(LAUGHS), "suite.a6"),
        (yaml.safe_load(LAUGHS), "means more than 8 MiB of text"),
        (yaml.safe_load(ITSELF), "suite.a[0][0]: is nested too deeply."),
        (yaml.safe_load(DEEP), "suite.a[0][0]: is nested too deeply."),
        ({"x": {(1, 2): 3}}, "suite.x: expected texts as keys, got "),
        ({"x": {datetime.date(2026, 11, 21): 3}}, "suite.x: expected texts as keys, got date."),
        (["x" * (1 << 20)] * 20, "suite[7]: means more than 8 MiB of text"),
    ],
)
def test_what_has_no_end_is_refused(document: object, problem: str) -> None:
    with pytest.raises(SchemaError) as caught:
        plain(document, ("suite",))
    assert problem in str(caught.value)


def test_a_number_without_end_is_refused() -> None:
    with pytest.raises(FileProblem, match=r"cluster\.json: a number has too many digits"):
        read_json("9" * 5000, "cluster.json")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (LAUGHS, "hosts.yaml:1: this means more than 200000 parts."),
        (ITSELF, "hosts.yaml:1: this is nested too deeply."),
        (DEEPER, "hosts.yaml: this is nested too deeply."),
    ],
)
def test_a_users_file_without_end_is_refused(text: str, problem: str) -> None:
    with pytest.raises(FileProblem) as caught:
        read_yaml(text, "hosts.yaml")
    assert str(caught.value) == problem
