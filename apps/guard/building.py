"""Building an app for a replay: its class is loaded as ever, then it is made and started under the trap."""

from __future__ import annotations

from apps import discovery
from apps.app import App
from apps.discovery import AppSpec, load_class
from apps.guard.trap import trapped


def build(spec: AppSpec) -> App:
    """`apps.discovery.build`, with the trap set while the app's own `configure` and `start` run."""
    load_class(spec.class_path)  # before the trap: what a module imports must be the originals
    with trapped():
        return discovery.build(spec)
