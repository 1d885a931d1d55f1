"""Signatures on chain digests: who sealed, not only what.

Two kinds, told apart by the key file. HMAC-SHA-256 needs nothing but the key, and whoever can check can also sign: keep it off
the box that writes. Ed25519 needs the `sign` extra; the public half checks, so any reader may have it.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
from pathlib import Path
from typing import Any

from journal.errors import JournalError, os_failure

_DOMAIN = b"lockstep seal 1\0"
_HMAC_KEY = re.compile(r"hmac-sha256 ([0-9a-f]{64,256})")
_KEY_ID_HEX = 16


class KeyRefused(JournalError):
    """A key file that cannot be used; says which and why."""


class Key:
    """A key that checks signatures and, unless it is a public one, makes them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            data = path.read_bytes()
            mode = os.stat(path).st_mode
        except OSError as error:
            raise os_failure(path, error.errno or 0, "reading the key") from None
        self._secret = b""
        self._private: Any = None
        self._public: Any = None
        if data.startswith(b"-----BEGIN"):
            public = self._load_ed25519(data)
            self.scheme, self.id = "ed25519", hashlib.sha256(public).hexdigest()[:_KEY_ID_HEX]
        else:
            match = _HMAC_KEY.fullmatch(data.decode("ascii", "replace").strip())
            if match is None:
                raise KeyRefused(
                    f"{path}: no key; expected a PEM file with an Ed25519 key, or: hmac-sha256 and at least 64 hex digits"
                )
            self._secret = bytes.fromhex(match[1])
            self.scheme, self.id = "hmac-sha256", hashlib.sha256(b"lockstep key id\0" + self._secret).hexdigest()[:_KEY_ID_HEX]
        if self.can_sign and stat.S_IMODE(mode) & 0o077:
            raise KeyRefused(
                f"{path}: readable by others (mode {stat.S_IMODE(mode):04o}); expected 0400 or 0600: chmod 400 {path}"
            )

    def _load_ed25519(self, data: bytes) -> bytes:
        try:
            from cryptography.hazmat.primitives.asymmetric import ed25519
            from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
        except ImportError:
            raise KeyRefused(f"{self.path}: Ed25519 keys need a library: pip install 'lockstep[sign]'") from None
        try:
            if b"PRIVATE KEY" in data:
                self._private = load_pem_private_key(data, None)
                self._public = self._private.public_key()
            else:
                self._public = load_pem_public_key(data)
        except (ValueError, TypeError) as error:
            raise KeyRefused(f"{self.path}: no usable PEM key ({error})") from None
        if not isinstance(self._public, ed25519.Ed25519PublicKey):
            raise KeyRefused(f"{self.path}: another kind of key; expected Ed25519: openssl genpkey -algorithm ed25519")
        return self._public.public_bytes_raw()

    @property
    def can_sign(self) -> bool:
        """False for a public key."""
        return bool(self._secret) or self._private is not None

    def sign(self, chain: bytes) -> str:
        """The signature of a chain digest, as it stands in a seal: scheme:key id:hex digits."""
        if self._secret:
            value = hmac.digest(self._secret, _DOMAIN + chain, "sha256")
        elif self._private is not None:
            value = self._private.sign(_DOMAIN + chain)
        else:
            raise KeyRefused(f"{self.path}: is a public key; signing needs the private one")
        return f"{self.scheme}:{self.id}:{value.hex()}"

    def fault(self, chain: bytes, signature: str) -> str:
        """What is wrong with a signature of `chain`; empty when it is good."""
        if not signature:
            return "is not signed"
        scheme, _, rest = signature.partition(":")
        key_id, _, digits = rest.partition(":")
        if (scheme, key_id) != (self.scheme, self.id):
            return f"is signed with {scheme} key {key_id[:64]}; expected {self.scheme} key {self.id}"
        try:
            value = bytes.fromhex(digits)
        except ValueError:
            value = b""
        if self._secret:
            good = hmac.compare_digest(value, hmac.digest(self._secret, _DOMAIN + chain, "sha256"))
        else:
            good = self._good_ed25519(value, chain)
        return "" if good else f"has a signature that {self.scheme} key {self.id} did not make"

    def _good_ed25519(self, value: bytes, chain: bytes) -> bool:
        from cryptography.exceptions import InvalidSignature

        try:
            self._public.verify(value, _DOMAIN + chain)
        except InvalidSignature:
            return False
        return True
