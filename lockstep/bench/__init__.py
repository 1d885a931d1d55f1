"""Benchmarks, one module a question: `add_arguments(parser)`, and `run(arguments)` that returns figures with conditions."""
