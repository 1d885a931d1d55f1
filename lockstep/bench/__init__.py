"""Benchmarks, one module a question. Each has `add_arguments(parser)` and `run(arguments) -> Report`-like printing; figures come
with their conditions, never alone."""
