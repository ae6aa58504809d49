# SPDX-License-Identifier: GPL-3.0-or-later
"""Broken inputs made from good ones: bytes anyhow, JSON as a tree, tar streams with their checksums made good again.

Everything is drawn from one `random.Random`, so a seed always gives the same inputs.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

LIMIT_BYTES = 256 * 1024
DEEP = 2000  # deeper than Python's own limit
TEXTS = (
    "", "\0", "\x1b[2J\x1b]0;gone\x07", "\u202e", "\ud800", "\x85", "../../etc/passwd", "/", ".", "a" * 5000, "9" * 25,
    "true", "0x10", "1e999", "${host.address}", "${", "</script>", "é\u2028", "tcp", "10s", "1MB", "[a-z", "(a+)+$",
)  # fmt: skip


def nested(depth: int) -> Any:
    return [nested(depth - 1)] if depth else "deep"


NUMBERS = (
    0, -1, 1, 2, 255, 65536, 2**31, 2**53 + 1, 2**63, 2**64, -(2**64), 10**18, 10**400, 0.5, -0.0, 1e-320, 1e308,
    float("inf"), float("nan"),
)  # fmt: skip
CONTAINERS: tuple[Any, ...] = (
    nested(200),
    [],
    {},
    [[]],
    {"": {}},
    [[]] * 100,
    {"schema": 2},
    {str(n): n for n in range(50)},
)
TOKENS = (
    b"\0", b"\n", b"\r", b"\xff", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\x1b[2J", b'"', b"\\",
    b"\\ud800", b"{", b"}", b"[", b"]", b",", b":", b"null", b"true", b"NaN", b"-Infinity", b"1e999", b"-1", b"1.5",
    b"9" * 30, b"9" * 5000, b"[" * 400 + b"]" * 400, b'{"a":' * 300 + b"1" + b"}" * 300, b"[" * DEEP,
    b'{"a":' * DEEP, b"[" * DEEP + b"]" * DEEP, b'"schema":99,', b'"unknown":1,', b" " * 3000,
)  # fmt: skip
HEADER, MAGIC = 512, b"ustar"
FIELDS = ((0, 100), (100, 8), (124, 12), (148, 8), (156, 1), (157, 100), (257, 8), (345, 155), (386, 24), (482, 1))
FIELD_VALUES = (
    b"\x80" + b"\xff" * 11, b"\xff" * 12, b"\x80" + b"\0" * 10 + b"\1", b"77777777777\0", b"-1", b"\0", b"x", b"L",
    b"K", b"S", b"1", b"2", b"5", b"../../x\0", b"/etc/passwd\0", b"samples/0000/seal.json\0", b"journal.jsonl\0",
)  # fmt: skip


def places(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything in a document."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [path, *(place for key, each in inside for place in places(each, (*path, key)))]


def changed(tree: Any, path: tuple[Any, ...], change: Callable[[Any], Any]) -> Any:
    """The document with ``change`` made at ``path``; shares what is not changed."""
    if not path:
        return change(tree)
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    copy[path[0]] = changed(tree[path[0]], path[1:], change)
    return copy


def reached(tree: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        tree = tree[key]
    return tree


class Mutator:
    """Draws inputs of one form: ``bytes``, ``json``, ``lines`` (of JSON), ``tar``. The corpus may grow."""

    def __init__(self, dice: random.Random, seeds: list[bytes], form: str) -> None:
        self._dice = dice
        self._form = form
        self._corpus: list[tuple[bytes, list[Any], list[list[tuple[Any, ...]]]]] = []
        for seed in seeds:
            self.keep(seed)

    def keep(self, data: bytes) -> None:
        """Mutate this one too from now on."""
        trees = []
        if self._form in ("json", "lines"):
            try:
                trees = [json.loads(line) for line in ([data] if self._form == "json" else data.splitlines()) if line]
                self._corpus.append((data, trees, [places(tree) for tree in trees]))
                return
            except (ValueError, RecursionError):
                trees = []
        self._corpus.append((data, [], []))

    def draw(self) -> bytes:
        data, trees, paths = self._dice.choice(self._corpus)
        if trees and self._dice.random() < 0.7:
            data = self._reshaped(data, trees, paths)
            if self._dice.random() < 0.8:
                return data[:LIMIT_BYTES]
        for _time in range(self._dice.choice((1, 1, 1, 2, 3))):
            data = self._damaged(data)
        if self._form == "tar" and self._dice.random() < 0.8:
            data = mended(data)
        return data[:LIMIT_BYTES]

    def _reshaped(self, data: bytes, trees: list[Any], paths: list[list[tuple[Any, ...]]]) -> bytes:
        which = self._dice.randrange(len(trees))
        tree = trees[which]
        path = self._dice.choice(paths[which])
        try:
            tree = changed(tree, path, self._change)
            if self._dice.random() < 0.2 and path:  # twice, at two places that both are still there
                tree = changed(tree, path[:1], self._change)
            line = json.dumps(tree, separators=(",", ":")).encode()
        except (RecursionError, IndexError, KeyError):
            return data
        if self._form == "json":
            return line
        lines = data.splitlines()
        lines[min(which, len(lines) - 1)] = line
        return b"\n".join(lines) + b"\n"

    def _change(self, value: Any) -> Any:
        dice = self._dice
        if isinstance(value, dict) and value and dice.random() < 0.6:
            key = dice.choice(list(value))
            rest = {name: each for name, each in value.items() if name != key}
            new = dice.choice(("unknown", "schema", "type", dice.choice(TEXTS)))
            return dice.choice((rest, {**value, new: self._value()}, {**rest, new: value[key]}))
        if isinstance(value, list) and value and dice.random() < 0.6:
            position = dice.randrange(len(value))
            repeated = value * dice.choice((2, 20)) if len(value) < 200 else value
            return dice.choice((value[:position], value[position:], value[::-1], repeated, [*value, self._value()]))
        if isinstance(value, (int, float)) and not isinstance(value, bool) and dice.random() < 0.5:
            return value + dice.choice((-1, 1)) if dice.random() < 0.5 else -value
        if isinstance(value, str) and dice.random() < 0.5:
            position = dice.randrange(len(value) + 1)
            return value[:position] + dice.choice(TEXTS) + value[position:]
        return dice.choice((self._value(), self._value(), [value], {"": value}))

    def _value(self) -> Any:
        dice = self._dice
        kind = dice.random()
        if kind < 0.4:
            return dice.choice(NUMBERS)
        if kind < 0.7:
            return dice.choice(TEXTS)
        if kind < 0.8:
            return dice.choice((None, True, False))
        _data, trees, paths = dice.choice(self._corpus)
        if trees and kind < 0.9:
            which = dice.randrange(len(trees))
            return reached(trees[which], dice.choice(paths[which]))
        return dice.choice(CONTAINERS)

    def _damaged(self, data: bytes) -> bytes:
        dice = self._dice
        if self._form == "tar" and dice.random() < 0.5:
            at, size = dice.choice(FIELDS)
            at += HEADER * dice.randrange(len(data) // HEADER + 1)
            return data[:at] + dice.choice(FIELD_VALUES)[:size].ljust(min(size, 12), b"\0") + data[at + min(size, 12) :]
        start = int(dice.random() * (len(data) + 1))
        size = int(dice.random() ** 4 * (len(data) - start)) + 1
        head, middle, tail = data[:start], data[start : start + size], data[start + size :]
        kind = int(dice.random() * 7)
        if kind == 0:
            return head
        if kind == 1:
            return head + tail
        if kind == 2:
            return head + middle * dice.choice((2, 2, 50)) + tail
        if kind == 3:
            return head + dice.choice(TOKENS) + middle + tail
        if kind == 4:
            return head + dice.choice(TOKENS) + tail
        if kind == 5:
            other = dice.choice(self._corpus)[0]
            return head + other[int(dice.random() * (len(other) + 1)) :]
        return (
            head + bytes((data[start] ^ (1 << dice.randrange(8)),)) + data[start + 1 :] if start < len(data) else head
        )


def mended(data: bytes) -> bytes:
    """A tar stream in which every block that looks like a header has its right checksum."""
    blocks = bytearray(data)
    for at in range(0, len(blocks) - HEADER + 1, HEADER):
        if blocks[at + 257 : at + 262] == MAGIC:
            blocks[at + 148 : at + 156] = b" " * 8
            blocks[at + 148 : at + 156] = b"%06o\0 " % sum(blocks[at : at + HEADER])
    return bytes(blocks)
