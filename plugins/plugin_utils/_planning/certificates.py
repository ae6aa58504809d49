# Copyright (c) The netbench.orchestrator authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates inside scenarios, for the drivers with TLS or QUIC. Private to the collection.

As the original generator, one authority (index 0) signs one key (1) and certificate (2) that all servers share; clients
ask for a name ``<connection>.<scenario id>.net``. Every generation makes new keys. They protect nothing: a scenario
file holds the private key for all to read.
"""

from __future__ import annotations

import base64
import datetime
from collections.abc import Mapping
from typing import Any

AUTHORITY, PRIVATE_KEY, CERTIFICATE = 0, 1, 2
VALID_DAYS = 365


class CertificateError(Exception):
    """Certificates cannot be made here."""


def issue(scenario_id: str) -> list[dict[str, str]]:
    """The ``certificates`` of a scenario: ``[{pem}, {pem, pkcs12}, {pem}]``, in the order of the indices above."""
    try:
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import pkcs12
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
    except ImportError as error:
        raise CertificateError(
            "certificates for TLS and QUIC drivers need the Python library cryptography on the control node:"
            f" pip install cryptography; or use a driver without TLS, such as tcp ({error})"
        ) from error

    domain = f"{scenario_id}.net"
    now = datetime.datetime.now(datetime.UTC)

    def name(common: str) -> x509.Name:
        return x509.Name(
            [x509.NameAttribute(NameOID.COUNTRY_NAME, "US"), x509.NameAttribute(NameOID.COMMON_NAME, common)]
        )

    def usage(*, authority: bool) -> x509.KeyUsage:
        return x509.KeyUsage(
            digital_signature=True,
            key_encipherment=not authority,
            key_cert_sign=authority,
            crl_sign=authority,
            content_commitment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )

    def builder(subject: x509.Name, public_key: ec.EllipticCurvePublicKey) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(authority_name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))  # hosts whose clocks are behind
            .not_valid_after(now + datetime.timedelta(days=VALID_DAYS))
        )

    authority_name = name("netbench CA 0")
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority = (
        builder(authority_name, authority_key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    certificate = (
        builder(name("netbench Leaf 1"), key.public_key())
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(domain), x509.DNSName(f"*.{domain}")]), critical=False)
        .add_extension(usage(authority=False), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    # The driver native-tls opens the container with an empty password.
    container = pkcs12.serialize_key_and_certificates(None, key, certificate, None, serialization.NoEncryption())
    return [
        {"pem": authority.public_bytes(serialization.Encoding.PEM).decode()},
        {"pem": key_pem.decode(), "pkcs12": base64.b64encode(container).decode()},
        {"pem": certificate.public_bytes(serialization.Encoding.PEM).decode()},
    ]


def with_certificates(document: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the generated scenario that carries certificates."""
    return {**document, "certificates": issue(str(document["id"]))}
