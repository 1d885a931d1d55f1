"""oms: orders and what became of them.

Lives here: the order state machine, routing, the outcome of requests, kills' cancels, orders that are not ours, what differs
from the venue and how it is repaired. In: messages in sequence order. Out: messages to publish. May import: journal.messages,
pure parts of the standard library, msgspec. Never: a clock, a socket, a file, random, a process.
"""
