"""Torture: campaigns that break the system on purpose, for hours if wanted, and say how to repeat what they find.

One module a campaign, with `add_arguments(parser)` and `run(arguments, tell) -> Outcome`; lockstep/commands/torture.py lists
them. `make test` runs the same code, briefly.
"""
