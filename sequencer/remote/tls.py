"""Who is at the other end: TLS 1.3, both sides with a certificate of the same private authority. Certificates are files."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from pathlib import Path

from journal.errors import OperatingError
from sequencer.remote.wire import LinkError


class TlsError(OperatingError, ValueError):
    """Certificate files that cannot be used, or a peer that cannot be believed."""


class Credentials:
    """Certificate, key and authority of one side; all three or none."""

    def __init__(self, certificate: str = "", key: str = "", authority: str = "") -> None:
        given = [bool(x) for x in (certificate, key, authority)]
        if any(given) and not all(given):
            raise TlsError("certificate, key and authority belong together: give all three files, or none")
        self.certificate, self.key, self.authority = certificate, key, authority

    def __bool__(self) -> bool:
        return bool(self.certificate)

    def context(self, *, server: bool) -> ssl.SSLContext:
        """A context that trusts nobody but the authority, and demands a certificate of the other side."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.check_hostname = not server
        if server:
            context.num_tickets = 0
        for what, path in (("certificate", self.certificate), ("key", self.key), ("authority", self.authority)):
            if not Path(path).is_file():
                raise TlsError(f"{what} = {path!r}: no such file; lockstep replicate keys DIR makes a first set")
        try:
            context.load_cert_chain(self.certificate, self.key)
        except (ssl.SSLError, OSError) as error:
            raise TlsError(f"{self.certificate}, {self.key}: no certificate with its key ({_why(error)})") from None
        try:
            context.load_verify_locations(self.authority)
        except (ssl.SSLError, OSError) as error:
            raise TlsError(f"{self.authority}: no certificate of an authority ({_why(error)})") from None
        return context


def _why(error: OSError) -> str:
    return str(getattr(error, "reason", None) or error.strerror or error)


def is_loopback(host: str) -> bool:
    """Does this name this machine only?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def wrap(sock: socket.socket, context: ssl.SSLContext, *, server: bool, host: str, timeout_s: float) -> ssl.SSLSocket:
    """The handshake, within a time. LinkError in words that say whose certificate is wrong, and how."""
    sock.settimeout(timeout_s)
    try:
        return context.wrap_socket(sock, server_side=server, server_hostname=None if server else host)
    except ssl.SSLCertVerificationError as error:
        whose = "the client's certificate" if server else "the server's certificate"
        raise LinkError(f"{host}: {whose} is not accepted: {error.verify_message}") from None
    except ssl.SSLError as error:
        reason = (error.reason or str(error)).replace("_", " ").lower()
        if "peer did not return a certificate" in reason:
            reason = "the client showed no certificate"
        elif "wrong version number" in reason or "http request" in reason:
            reason = "the other side does not speak TLS"
        raise LinkError(f"{host}: TLS: {reason}") from None
    except (OSError, TimeoutError) as error:
        raise LinkError(f"{host}: TLS: {error.strerror or error}") from None


def certificate_names(sock: socket.socket) -> list[str]:
    """The names in the peer's certificate: its common name and its DNS names. Empty without TLS."""
    if not isinstance(sock, ssl.SSLSocket):
        return []
    found = sock.getpeercert() or {}
    subject: tuple[tuple[tuple[str, str], ...], ...] = found.get("subject", ())  # type: ignore[assignment]
    names = [value for part in subject for key, value in part if key == "commonName"]
    other: tuple[tuple[str, str], ...] = found.get("subjectAltName", ())  # type: ignore[assignment]
    return names + [value for key, value in other if key == "DNS" and value not in names]
