"""Who may see what, for apps that answer users: read as a mute instance, changed by definitions alone."""

from __future__ import annotations

from apps.app import App
from journal.messages import GroupDefined, StrategyDefined, UserDefined
from journal.messages.rights import Rights


class RightsBook(App):
    """Folds users, strategies and groups."""

    def __init__(self) -> None:
        self.rights = Rights()

    def on_user_defined(self, m: UserDefined) -> None:
        self.rights.on_user_defined(m)

    def on_strategy_defined(self, m: StrategyDefined) -> None:
        self.rights.on_strategy_defined(m)

    def on_group_defined(self, m: GroupDefined) -> None:
        self.rights.on_group_defined(m)
