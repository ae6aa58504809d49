# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the user's own objects an error is about."""

from __future__ import annotations

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol.schema import SchemaError
from ansible_collections.netbench.orchestrator.plugins.plugin_utils._planning.blame import blamed


class Loaded(str):
    """A text as Ansible's loader leaves it: it knows where it comes from."""

    _ansible_tags_mapping = ("origin",)


class LoadedList(list):
    _ansible_tags_mapping = ("origin",)


KEY, VALUE, ITEM = Loaded("colour"), Loaded("red"), Loaded("b")
LIST = LoadedList([Loaded("a"), ITEM, 3])
DOCUMENTS = {"suite": {KEY: VALUE, "list": LIST, "plain": {"x": 1}}}


@pytest.mark.parametrize(
    ("path", "value", "found"),
    [
        (("suite", "colour"), "red", VALUE),
        (("suite", "colour"), "colour", KEY),
        (("suite", "list", 1), "b", ITEM),
        (("suite", "list", 2), 3, LIST),
        (("suite", "list", 9), None, LIST),
        (("suite", "list", "x", "y"), None, LIST),
        (("suite", "colour", "deeper"), None, VALUE),
    ],
)
def test_blamed(path, value, found):
    assert blamed(DOCUMENTS, SchemaError(path, "wrong", value)) is found


def test_without_any_origin_it_is_the_nearest_there_is():
    assert blamed(DOCUMENTS, SchemaError(("suite", "plain", "x"), "wrong", 1)) == 1
    assert blamed(DOCUMENTS, SchemaError(("other",), "wrong")) is None
