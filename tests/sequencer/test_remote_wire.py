"""What a link says of a peer that it does not hear. (R01, T05)"""

import socket

import pytest

from sequencer.remote.wire import Kind, Link, LinkError


@pytest.fixture
def links():
    ends = socket.socketpair()
    yield [Link(end, name, heartbeat_s=0.01, silence_s=60) for end, name in zip(ends, ("primary", "follower"), strict=True)]
    for end in ends:
        end.close()


def test_a_peer_that_says_nothing_is_silent(links):
    links[0].heard -= 61
    with pytest.raises(LinkError, match="primary: silent for 60 s"):
        links[0].wait()


def test_a_pause_of_our_own_is_no_silence_of_the_peer(links):
    """This process stood still for a minute; what the peer said meanwhile lies in the socket."""
    links[1].heartbeat()
    links[0].heard -= 61
    links[0].wait()
    assert links[0].receive().kind == Kind.HEARTBEAT
    links[0].wait()  # heard a moment ago
