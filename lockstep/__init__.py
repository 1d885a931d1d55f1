"""lockstep: the command. Configuration, supervision, the demo, benchmarks; the composition root above everything else.

May import: everything. Imported by: nothing.
"""

__version__ = "0.1.0"
