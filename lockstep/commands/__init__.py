"""One module a command; each has `add_parser(subparsers)` and handlers that return an exit code."""
