# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Certificates inside scenarios, for the drivers with TLS or QUIC. Private to the collection.

As in the original generator, one authority (index 0) signs one key (1) and certificate (2) that all servers share;
clients ask for a name ``<connection>.<scenario id>.net``. Every generation makes new keys. They protect nothing: a
scenario file holds the private key for all to read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

AUTHORITY, PRIVATE_KEY, CERTIFICATE = 0, 1, 2


class CertificateError(Exception):
    """Certificates cannot be made here."""


def issue(scenario_id: str) -> list[dict[str, str]]:
    """The ``certificates`` of a scenario: ``[{pem}, {pem, pkcs12}, {pem}]``, in the order of the indices above."""
    from . import certificate_authority  # here, because the library takes long to load

    if certificate_authority.MISSING:
        raise CertificateError(
            "certificates for TLS and QUIC drivers need the Python library cryptography on the control node;"
            f" pip install cryptography, or use a driver without TLS, such as tcp ({certificate_authority.MISSING})"
        )
    return certificate_authority.issue_chain(scenario_id)


def with_certificates(document: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the generated scenario that carries certificates."""
    return {**document, "certificates": issue(str(document["id"]))}
