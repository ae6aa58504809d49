# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of other programs, read with the line of everything in them. Pure. Private to this collection.

A :class:`Document` is a YAML or JSON file as plain data that knows where each part stands, so that a
:class:`SchemaError` about it becomes a :class:`FileProblem`: ``hosts.yaml:7: …``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ...module_utils._protocol.schema import Checker, Path, SchemaError, place

DEPTH_LIMIT = 50
PARTS_LIMIT = 200_000
BRACKETS_LIMIT = 500


class FileProblem(ValueError):
    """Something in a user's file is wrong; the message begins with the file and the line."""

    def __init__(self, file: str, line: int | None, problem: str) -> None:
        self.file = file
        self.line = line
        self.problem = problem
        super().__init__(f"{file}:{line}: {problem}" if line else f"{file}: {problem}")


@dataclass(frozen=True)
class Document:
    """Plain data and the line, from 1, of every key and item by its path."""

    file: str
    data: Any
    lines: Mapping[Path, int]

    def checked(self, checker: Checker) -> Any:
        """The data by a checker. Raises FileProblem."""
        try:
            return checker(self.data, ())
        except SchemaError as problem:
            raise self.problem(problem.path, problem.problem) from problem

    def problem(self, path: Path, problem: str) -> FileProblem:
        """What is wrong at a path, with the line of the nearest part that there is."""
        known = next(path[:length] for length in range(len(path), -1, -1) if path[:length] in self.lines)
        return FileProblem(self.file, self.lines[known], f"{place(path)}: {problem}" if path else problem)


def read_yaml(text: str, file: str) -> Document:
    """Raises FileProblem for what is not YAML, is empty, or has a key twice."""
    try:
        refuse_many_brackets(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        if node is None:
            raise FileProblem(file, None, "the file is empty.")
        lines: dict[Path, int] = {}
        return Document(file, _plain(node, (), file, lines), lines)
    except RecursionError as error:
        raise FileProblem(file, None, "this is nested too deeply.") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or "it cannot be read"
        raise FileProblem(file, mark.line + 1 if mark else None, f"this is not YAML: {what}.") from error


def refuse_many_brackets(text: str) -> None:
    """For so many that are open at a time the YAML library takes the square of time. Raises RecursionError."""
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth = depth + 1 if bracket in "[{" else max(0, depth - 1)
        if depth > BRACKETS_LIMIT:
            raise RecursionError("brackets in brackets")


def read_json(text: str, file: str) -> Document:
    """Raises FileProblem for what is not JSON, is empty, or has a key twice."""
    if not text.strip():
        raise FileProblem(file, None, "the file is empty.")
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        raise FileProblem(file, error.lineno, f"this is not JSON: {error.msg}.") from error
    except ValueError as error:
        raise FileProblem(file, None, "a number has too many digits.") from error
    except RecursionError as error:
        raise FileProblem(file, None, "this is nested too deeply.") from error
    return read_yaml(text.replace("\t", " "), file)  # JSON is YAML but for tabs, and none can stand in a string


def numbered_lines(text: str) -> Iterable[tuple[int, str]]:
    """The lines that say something, with their numbers, without comments and the space around them."""
    for number, line in enumerate(text.splitlines(), start=1):
        said = line.partition("#")[0].strip()
        if said:
            yield number, said


def _plain(node: yaml.Node, path: Path, file: str, lines: dict[Path, int]) -> Any:
    lines.setdefault(path, node.start_mark.line + 1)
    if len(lines) > PARTS_LIMIT:  # aliases can make billions of a few
        raise FileProblem(file, node.start_mark.line + 1, f"this means more than {PARTS_LIMIT} parts.")
    if len(path) > DEPTH_LIMIT:  # also an alias inside of what it stands for
        raise FileProblem(file, node.start_mark.line + 1, "this is nested too deeply.")
    if isinstance(node, yaml.MappingNode):
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value)[:200]
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise FileProblem(file, line, "a key must be a text.")
            if key in found:
                raise FileProblem(file, line, f"the key {key!r} is there twice, first in line {lines[*path, key]}.")
            lines[*path, key] = line
            found[key] = _plain(value_node, (*path, key), file, lines)
        return found
    if isinstance(node, yaml.SequenceNode):
        return [_plain(each, (*path, position), file, lines) for position, each in enumerate(node.value)]
    return _scalar(node, file)


def _scalar(node: yaml.Node, file: str) -> Any:
    constructor = yaml.constructor.SafeConstructor()
    try:
        return constructor.construct_object(node)
    except (yaml.YAMLError, ValueError) as error:
        raise FileProblem(file, node.start_mark.line + 1, f"{node.value!r} cannot be read.") from error
