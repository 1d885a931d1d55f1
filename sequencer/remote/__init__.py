"""The stream on other machines: a server beside the sequencer, followers with a byte-identical replica, publishers elsewhere.

The protocol is docs/replication.md. The server only reads the journal; what it lets in goes through a ring, as ever.
"""
