"""journal: the ground. What a frame is, what a message says, where both are kept.

Lives here: the message vocabulary, frames, segments, the single writer, the readers, recovery, and the C kernel of all of them.
May import: the standard library, numpy, msgspec, cffi. Never: anything above it, a socket, a decision about trading.
"""
