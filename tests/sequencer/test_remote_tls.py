"""Who may connect: certificates of one authority, the right names in them, not expired; and publishing over TLS."""

from __future__ import annotations

import time

import pytest
from remote_system import FAST, follow, page, serve

from journal.messages import LogRecord, SourceRole
from sequencer.attach import AttachError
from sequencer.client import Publisher
from sequencer.remote.follower import FollowerHalted, connect
from sequencer.remote.keys import Authority, KeysError, make_keys
from sequencer.remote.server import ReplicationServer, ServerFailed
from sequencer.remote.settings import SOURCE_KINDS, FollowerSettings, RemotePublisherSettings, ReplicationSettings
from sequencer.remote.tls import Credentials, TlsError
from sequencer.settings import SourceSettings

SOURCES = [
    SourceSettings(name="md", role=SourceRole.MARKET_DATA),
    SourceSettings(name="replication", role=SourceRole.SUPERVISOR, kinds=SOURCE_KINDS),
]
HOSTS = ["127.0.0.1", "localhost"]


def stored(folder, name: str, certificate: bytes, key: bytes, authority: bytes) -> dict[str, str]:
    """Files of one party, as the arguments of Credentials."""
    files = {
        "certificate": (f"{name}.pem", certificate),
        "key": (f"{name}.key", key),
        "authority": (f"{name}-ca.pem", authority),
    }
    for file, data in files.values():
        (folder / file).write_bytes(data)
    return {what: str(folder / file) for what, (file, _) in files.items()}


@pytest.fixture
def tls(folder, daemon):
    """(authority, port, server process) of a primary that wants certificates."""
    daemon(SOURCES)
    authority = Authority()
    ours = stored(folder, "server", *authority.issue("primary", HOSTS), authority.pem())
    settings = ReplicationSettings(
        listen="127.0.0.1:0", follower={"b": FollowerSettings(node=2, required=True)},
        publisher={"md": RemotePublisherSettings(role="market_data", certificate="desk")}, **ours, **FAST,
    )  # fmt: skip
    server, port = serve(folder / "j", settings, folder / "server.log")
    yield authority, port, server
    server.kill()
    server.wait()


def test_replica_and_publisher_over_tls(folder, tls, until):
    authority, port, server = tls
    mine = stored(folder, "b", *authority.issue("b"), authority.pem())
    follower = follow(port, folder / "b", "b", folder / "b.log", **mine)
    desk = Credentials(**stored(folder, "desk", *authority.issue("desk"), authority.pem()))
    with Publisher.connect(f"tls://localhost:{port}", "md", credentials=desk) as md:
        for n in range(3000):
            md.publish(LogRecord(text=f"{n}" * 40))
    # Closing waits until all of it is safe: here, until it is on the follower's disk.
    assert page(folder / "j").replicated_seq >= 3000
    until(lambda: page(folder / "b").durable_seq == page(folder / "j").written_seq)
    assert follower.end() == 0
    assert server.code is None


def refused_follower(folder, tls, name: str, credentials: dict[str, str], said: str) -> None:
    _, port, server = tls
    follower = follow(port, folder / "b", name, folder / "b.log", **credentials)
    end = time.monotonic() + 15
    while said not in follower.said() + server.said():
        assert time.monotonic() < end, follower.said() + server.said()
        time.sleep(0.01)
    follower.kill()
    follower.wait()
    assert not (folder / "b" / "control").exists()


def test_an_expired_certificate(folder, tls):
    authority, _, _ = tls
    late = stored(folder, "b", *authority.issue("b", days=-2), authority.pem())
    refused_follower(folder, tls, "b", late, "certificate has expired")


def test_a_certificate_of_another_authority(folder, tls):
    authority, _, _ = tls
    other = stored(folder, "b", *Authority().issue("b"), authority.pem())
    refused_follower(folder, tls, "b", other, "the client's certificate is not accepted")


def test_a_server_of_another_authority(folder, tls):
    authority, _, _ = tls
    misled = stored(folder, "b", *authority.issue("b"), Authority().pem())
    refused_follower(folder, tls, "b", misled, "the server's certificate is not accepted")


def test_anothers_name(folder, tls):
    authority, _, _ = tls
    wrong = stored(folder, "x", *authority.issue("someone"), authority.pem())
    refused_follower(folder, tls, "b", wrong, "the certificate is of someone, not of 'b'")


def test_a_follower_nobody_knows(folder, tls):
    authority, _, _ = tls
    mine = stored(folder, "x", *authority.issue("x"), authority.pem())
    refused_follower(folder, tls, "x", mine, "no [replication.follower.x] is configured")


def test_no_certificate_at_all(folder, tls):
    refused_follower(folder, tls, "b", {}, "does not speak TLS")


def test_another_source_than_the_certificates(folder, tls):
    authority, port, _ = tls
    mine = Credentials(**stored(folder, "x", *authority.issue("md"), authority.pem()))
    with pytest.raises(AttachError, match="belongs to the certificate of 'desk'"):
        Publisher.connect(f"tls://127.0.0.1:{port}", "md", credentials=mine, timeout_s=5)


def test_a_server_under_another_name(folder, daemon):
    """Its certificate is for other hosts than the one that was dialled."""
    daemon(SOURCES)
    authority = Authority()
    ours = stored(folder, "server", *authority.issue("primary", ["primary.example"]), authority.pem())
    settings = ReplicationSettings(listen="127.0.0.1:0", follower={"b": FollowerSettings(node=2)}, **ours, **FAST)
    server, port = serve(folder / "j", settings, folder / "server.log")
    mine = stored(folder, "b", *authority.issue("b"), authority.pem())
    refused_follower(folder, (authority, port, server), "b", mine, "the server's certificate is not accepted")
    server.kill()
    server.wait()


def test_without_certificates_only_this_machine(folder):
    from journal.writer import JournalWriter

    JournalWriter.open(folder / "j").close()
    with pytest.raises(ServerFailed, match=r"only 127\.0\.0\.1 is served"):
        ReplicationServer(folder / "j", ReplicationSettings(listen="0.0.0.0:0"))
    with pytest.raises(FollowerHalted, match="needs certificates"):
        connect(("192.0.2.1", 1), Credentials(), heartbeat_s=1, silence_s=1)
    with pytest.raises(TlsError, match="belong together"):
        Credentials(certificate="a.pem")
    with pytest.raises(TlsError, match="no such file"):
        Credentials("a.pem", "a.key", "ca.pem").context(server=True)


def test_keys_are_private_and_never_overwritten(folder):
    made = make_keys(folder / "keys", ["server", "b"], HOSTS)
    assert {p.name for p in made} == {"authority.pem", "authority.key", "server.pem", "server.key", "b.pem", "b.key"}
    assert all(p.stat().st_mode & 0o077 == 0 for p in made if p.suffix == ".key")
    with pytest.raises(KeysError, match="nothing is overwritten"):
        make_keys(folder / "keys", ["c"], HOSTS)
    for server in (True, False):
        Credentials(*(str(folder / "keys" / n) for n in ("b.pem", "b.key", "authority.pem"))).context(server=server)
