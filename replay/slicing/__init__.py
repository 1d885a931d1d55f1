"""replay.slicing: a small journal made of a part of another one, which replays by itself: the perfect bug report.

Lives here: the states it begins with (`begin`), the making of it (`cut`), and what makes its names unknown (`redact`). What a
slice is on disk: `journal.slices`.
"""
