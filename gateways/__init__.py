"""gateways: everything with a socket.

Lives here: one folder per venue (a sans-I/O protocol, the mapping between the venue's words and ours, a thin driver), the
network seam they all go through, and the sinks. May import: journal, sequencer, apps. Never: an order decision; a gateway
acts on sequenced frames only, and what it hears it publishes unjudged.
"""
