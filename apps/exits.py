"""Exit codes of supervised processes: what a supervisor may do about an end. 1 is Python's own, for a traceback."""

OK = 0
CONFIG = 2
"""The configuration cannot be used: starting again is of no use."""
DIVERGED = 3
"""An app says something else than the journal holds: starting again is of no use."""
POISON = 4
"""A handler raised; the next start meets the same frame."""
BEHIND = 5
"""The journal ends before what this process has seen: start again from the journal."""
REFUSED = 6
"""The sequencer no longer takes what this publisher writes: a new start has a new ring."""
UNREACHABLE = 7
"""No sequencer answered in time."""

HALTED = 8
"""The sequencer ended the stream: a sync failed, or the disk is full. One start reads again what is really there; if that halts
as well, a person must look."""

HOPELESS = frozenset({CONFIG, DIVERGED})
"""Not started again."""
