"""replay.why: the causal tree of an order or of a frame, with what only a replay can add: the books and the timers.

Lives here: the tree (`why`, `tree_lines`) and the replay that watches it (`observe`). What follows from what is
`replay.causes`; how a frame is told is `replay.audit`.
"""

from replay.why.tree import Why, tree_lines, why

__all__ = ["Why", "tree_lines", "why"]
