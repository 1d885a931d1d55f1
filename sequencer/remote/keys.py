"""A small private authority and certificates for a first test: files that a real deployment replaces by its own."""

from __future__ import annotations

import datetime
import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from journal.clock import Clock, SystemClock
from journal.errors import OperatingError

DAYS = 365


class KeysError(OperatingError):
    """No keys were made, and why."""


class Authority:
    """A private authority in memory; `issue` gives certificates out."""

    def __init__(self, clock: Clock | None = None) -> None:
        try:
            from cryptography import x509
            from cryptography.hazmat.primitives import hashes, serialization
            from cryptography.hazmat.primitives.asymmetric import ec
        except ImportError:
            raise KeysError("making keys needs the package cryptography: pip install 'lockstep[tls]'") from None
        self._x509, self._hashes, self._serialization, self._ec = x509, hashes, serialization, ec
        self._now = datetime.datetime.fromtimestamp((clock or SystemClock()).now_ns() // 10**9, datetime.UTC)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lockstep private authority")])
        self.certificate = self._build(self._name, self._key, [], DAYS * 10, authority=True)

    def _build(self, subject: Any, key: Any, names: Sequence[str], days: int, *, authority: bool = False) -> Any:
        x509 = self._x509
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(self._now + datetime.timedelta(days=min(days, 0) * 2 - 1))
            .not_valid_after(self._now + datetime.timedelta(days=days))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=0 if authority else None), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .add_extension(
                x509.KeyUsage(not authority, False, False, False, False, authority, authority, False, False), critical=True
            )
        )
        if names:
            general = [x509.IPAddress(ipaddress.ip_address(n)) if _is_address(n) else x509.DNSName(n) for n in names]
            builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
        return builder.sign(self._key, self._hashes.SHA256())

    def issue(self, name: str, hosts: Sequence[str] = (), *, days: int = DAYS) -> tuple[bytes, bytes]:
        """(certificate, key) as PEM: common name `name`, valid for `hosts`. Negative days: expired already."""
        key = self._ec.generate_private_key(self._ec.SECP256R1())
        subject = self._x509.Name([self._x509.NameAttribute(self._x509.NameOID.COMMON_NAME, name)])
        made = self._build(subject, key, hosts, days)
        return self._pem(made), self._private(key)

    def pem(self) -> bytes:
        """The authority's certificate."""
        return self._pem(self.certificate)

    def private(self) -> bytes:
        """The authority's key."""
        return self._private(self._key)

    def _pem(self, certificate: Any) -> bytes:
        data: bytes = certificate.public_bytes(self._serialization.Encoding.PEM)
        return data

    def _private(self, key: Any) -> bytes:
        s = self._serialization
        data: bytes = key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption())
        return data


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def make_keys(folder: Path, names: Sequence[str], hosts: Sequence[str]) -> list[Path]:
    """authority.pem and NAME.pem, NAME.key for each name, all valid for `hosts`; never over a file that is there."""
    authority = Authority()
    files: dict[str, bytes] = {"authority.pem": authority.pem(), "authority.key": authority.private()}
    for name in names:
        files[f"{name}.pem"], files[f"{name}.key"] = authority.issue(name, hosts)
    there = [name for name in files if (folder / name).exists()]
    if there:
        raise KeysError(f"{folder / there[0]}: is there already; choose an empty folder, nothing is overwritten")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            fd = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600 if name.endswith(".key") else 0o644)
            with os.fdopen(fd, "wb") as file:
                file.write(data)
    except OSError as error:
        raise KeysError(f"{folder}: {error.strerror}; expected a folder to write into") from None
    return [folder / name for name in files]
