"""A certificate authority for one cluster, and what it signs.

Python 3.13 and newer refuse an authority without a key usage extension, so the
extensions are set as a real one's are. Keys are P-256: made in a millisecond.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import ipaddress
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LIFETIME: Final = dt.timedelta(days=90)
"""Longer than any local cluster; short enough that a lost key ages."""

CLOCK_SKEW: Final = dt.timedelta(minutes=5)


@dataclasses.dataclass(frozen=True, slots=True)
class Credential:
    """A certificate and its key, both PEM.

    Attributes:
        certificate: the certificate.
        key: its private key, PKCS 8, not encrypted.
    """

    certificate: bytes
    key: bytes

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Writes ``NAME.crt`` and ``NAME.key``, for the owner's eyes only.

        Args:
            folder: must exist.
            name: without ending.

        Returns:
            The two paths.
        """
        paths = folder / f"{name}.crt", folder / f"{name}.key"
        for path, content in zip(paths, (self.certificate, self.key), strict=True):
            path.touch(mode=0o600)
            path.write_bytes(content)
        return paths


class Authority:
    """Signs the certificates of one cluster."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self._certificate = certificate
        self._key = key

    @classmethod
    def create(cls, name: str) -> Authority:
        """Makes a new authority.

        Args:
            name: its common name.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        usage = _key_usage(certificate_sign=True, crl_sign=True)
        certificate = (
            _builder(subject, subject, key.public_key())
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()),
                critical=False,
            )
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def read(cls, certificate: Path, key: Path) -> Authority:
        """Takes up an authority that :meth:`Credential.write` wrote.

        Args:
            certificate: PEM.
            key: PEM.

        Raises:
            OSError: a file can't be read.
            TypeError: the key is of another kind than the ones made here.
        """
        private_key = serialization.load_pem_private_key(key.read_bytes(), password=None)
        if not isinstance(private_key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{key} holds no elliptic curve key")
        return cls(x509.load_pem_x509_certificate(certificate.read_bytes()), private_key)

    @property
    def credential(self) -> Credential:
        """The authority's own certificate and key."""
        return _credential(self._certificate, self._key)

    def server(self, name: str, hosts: Sequence[str]) -> Credential:
        """A server's certificate; good as its client certificate too.

        Args:
            name: common name.
            hosts: addresses and DNS names by which it is called.
        """
        names = x509.SubjectAlternativeName([_general_name(host) for host in hosts])
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, name)]
        return self._sign(subject, purposes, names)

    def client(self, user: str, groups: Sequence[str] = ()) -> Credential:
        """A user's certificate, as the API server reads it.

        Args:
            user: the common name is the user.
            groups: each organisation is a group.
        """
        subject = [x509.NameAttribute(NameOID.COMMON_NAME, user)]
        subject += [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in groups]
        return self._sign(subject, [ExtendedKeyUsageOID.CLIENT_AUTH], None)

    def _sign(
        self,
        subject: list[x509.NameAttribute[str]],
        purposes: list[x509.ObjectIdentifier],
        names: x509.SubjectAlternativeName | None,
    ) -> Credential:
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = self._certificate.subject
        builder = (
            _builder(x509.Name(subject), issuer, key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(digital_signature=True), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return _credential(builder.sign(self._key, hashes.SHA256()), key)


def signing_key() -> bytes:
    """A key for service account tokens, PEM in the older form: the only one read as both halves."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _key_usage(
    *, digital_signature: bool = False, certificate_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificate_sign,
        crl_sign=crl_sign,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _credential(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Credential:
    return Credential(certificate.public_bytes(serialization.Encoding.PEM), _pem(key))


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
