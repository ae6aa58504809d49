# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frames: what goes in comes out, however the stream is cut, and nothing else does."""

from __future__ import annotations

import contextlib
import json

import pytest
from ansible_collections.netbench.orchestrator.plugins.module_utils._protocol import frames
from hypothesis import given
from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
MESSAGES = st.lists(st.dictionaries(st.text(max_size=8), JSON, max_size=4), max_size=6)


@given(MESSAGES, st.lists(st.integers(min_value=1, max_value=40), min_size=1))
def test_messages_survive_any_cutting_of_the_stream(messages, sizes):
    stream = b"".join(map(frames.encode, messages))
    decoder, out, position, turn = frames.Decoder(), [], 0, 0
    while position < len(stream):
        size = sizes[turn % len(sizes)]
        out += decoder.feed(stream[position : position + size])
        position, turn = position + size, turn + 1
    assert out == messages


@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode() + b"\n"))
def test_any_bytes_give_objects_or_a_frame_error(data):
    with contextlib.suppress(frames.FrameError):
        assert all(isinstance(message, dict) for message in frames.Decoder().feed(data))


@pytest.mark.parametrize(
    "line",
    [
        b"", b"[]", b"1", b"{", b"\xff", b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":1e999}',
        b"[" * 60000, b'{"a":' * 10000, b"{" * 60000,
    ],
)  # fmt: skip
def test_what_is_no_frame_is_refused(line):
    with pytest.raises(frames.FrameError):
        frames.decode(line)


def test_memory_stays_below_twice_the_limit():
    decoder = frames.Decoder()
    decoder.feed(b"x" * frames.LIMIT_BYTES)
    with pytest.raises(frames.FrameError, match="over the limit"):
        decoder.feed(b"x")
    with pytest.raises(frames.FrameError, match="over the limit"):
        frames.Decoder().feed(b'{"a":"' + b"x" * frames.LIMIT_BYTES + b'"}\n')
    with pytest.raises(frames.FrameError, match="over the limit"):
        frames.encode({"a": "x" * frames.LIMIT_BYTES})


def test_nothing_that_is_not_a_number_is_sent():
    with pytest.raises(ValueError, match="Out of range"):
        frames.encode({"a": float("nan")})
