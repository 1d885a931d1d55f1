"""What a configuration says of control, as parameters of the apps that judge it. Sources and strategies are numbers there."""

from __future__ import annotations

from typing import Any

import msgspec

from journal.messages import SourceRole
from journal.messages.keeping import Keep
from lockstep import units
from lockstep.config import Config, watch_source
from riskengine.controlled import BAN_NS

_RISK, _OMS, _FLATTENER = "apps.risk:RiskApp", "apps.order_manager:OmsApp", "apps.flattener:Flattener"
_ROLES = (SourceRole.OPERATOR, SourceRole.RISK, SourceRole.POSITIONS, SourceRole.BOOKS)
"""Those whose frames an app judges by who said them."""


def control_parameters(config: Config, class_path: str, sources: dict[str, int], strategies: dict[str, int]) -> dict[str, Any]:
    """The parameters of an app of this class; only what differs from its defaults, where it has any."""
    if class_path not in (_RISK, _OMS, _FLATTENER):
        return {}
    s = config.system
    found: dict[str, Any] = {}
    if class_path != _FLATTENER:
        own = [c for c in config.sources() if c.role in _ROLES and c.kinds is None and c.name in sources]
        found["roles"] = [[sources[c.name], int(c.role)] for c in own]
    if s.approval.second_person is not None:
        found["second_person"] = s.approval.second_person
    if (valid := units.duration_ns(s.approval.valid)) != units.duration_ns("1h"):
        found["approval_valid_ns"] = valid
    if class_path != _FLATTENER and config.keep != Keep():
        found["keep"] = msgspec.to_builtins(config.keep)
    if class_path != _RISK:
        return found
    found["violations"] = s.risk.violations
    if s.approval.limits:
        found["approve_limits"] = True
    if (ban := units.duration_ns(s.risk.ban)) != BAN_NS:
        found["ban_ns"] = ban
    watches = []
    for number, (name, watch) in enumerate(s.watch.items(), start=1):
        source = watch_source(name, watch)
        if source not in sources:
            continue  # a backtest has no operators
        actions = {"alert": watch.alert, "pause": watch.pause, "cancel_all": watch.cancel_all, "kill": watch.kill}
        watches.append(
            {"watch": number, "name": name, "source": sources[source], "interval_ns": units.duration_ns(watch.interval)}
            | {"strategy": strategies.get(watch.who, 0)}
            | actions
        )
    if watches:
        found["watches"] = watches
    return found
