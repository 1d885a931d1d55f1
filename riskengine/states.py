"""Trading states: a scope trades, only reduces, or is halted, until a person says otherwise."""

from __future__ import annotations

from journal.messages import CommandCode, CommandResult, Reason, RequestState, Scope, ScopeType, TradingState, TradingStateSet
from riskengine.controlled import scope_key, scope_of
from riskengine.kills import Kills


class States(Kills):
    """Which scopes may do what. The strictest one that covers an order holds for it."""

    def on_trading_state_set(self, m: TradingStateSet) -> None:
        """Holds from this frame on, until the same scope has another state. A person's ACTIVE also ends pauses of watches.
        One that comes again does not undo what was said since."""
        author = self.control.latch.persons.author(self.ctx.source, _CODE.get(TradingState(m.state), CommandCode.RESUME))
        if self.control.heard.again(self.ctx.source, m.request):
            text = f"request {m.request} was given before; nothing changes"
            self.ctx.emit(
                CommandResult(request=m.request, status=RequestState.REJECTED, reason=Reason.REPEATED_REQUEST, text=text)
            )
            return
        key = scope_key(m)
        if m.state in (TradingState.REDUCING, TradingState.HALTED):
            self.control.states[key] = (self.ctx.seq, m.encode())
            self.answer(author, RequestState.DONE, 0, f"{TradingState(m.state).name} from here on")
            return
        if self.control.latch.persons.unknown(author.user):
            self.alert(Reason.NOT_AUTHENTICATED, "a trading state is lifted by a named person only", scope=m)
            return
        lifted = self.control.states.pop(key, None) is not None
        for watch in self.control.rules.watches:
            if m.scope_type == ScopeType.GLOBAL or (m.scope_type == ScopeType.STRATEGY and m.scope_strategy == watch.strategy):
                lifted |= self.resume(watch.watch)
        reason = 0 if lifted else Reason.COMMAND_NOT_APPLICABLE
        text = "ACTIVE from here on" if lifted else "no other state is set for this scope"
        self.answer(author, RequestState.REJECTED if reason else RequestState.DONE, reason, text)

    def resume(self, watch: int) -> bool:
        """End the pause of a watch."""
        raise NotImplementedError(watch)

    def restrict(self, scope: Scope, state: TradingState, reason: Reason, text: str) -> None:
        """Set a state of our own accord, unless the scope is as strict already. It holds at once."""
        held = self.control.states.get(scope_key(scope))
        if held is not None and TradingStateSet.decode(held[1]).state >= state:
            return
        m = TradingStateSet(state=state, reason=reason, text=text, **scope_of(scope))
        self.ctx.emit(m)
        self.control.states[scope_key(scope)] = (self.ctx.seq, m.encode())


_CODE = {TradingState.REDUCING: CommandCode.PAUSE, TradingState.HALTED: CommandCode.PAUSE}
