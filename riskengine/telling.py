"""What the engine tells people: alerts, and answers to their commands."""

from __future__ import annotations

from journal.messages import Alert, AlertSeverity, AlertState, CommandResult, RequestState, Scope, SourceRole
from journal.messages.latch import SecondPerson
from journal.messages.persons import Author
from riskengine.controlled import Control, Rules, scope_of
from riskengine.finances import Finances


class Telling(Finances):
    """Control's state, and its voice."""

    @property
    def control(self) -> Control:
        """Kills, states, bans, watches."""
        return self.memory.control

    def configure(self, rules: Rules) -> None:
        """Take parameters from the stream: at the beginning, and whenever they change."""
        self.control.rules = rules
        self.control.latch.persons.valid_ns = rules.approval_valid_ns
        self.control.latch.second_person = SecondPerson.of(rules.second_person)
        self.memory.families.keep = rules.keep
        for source, role in rules.roles:
            self.has_role(source, role)

    def by_operator(self) -> bool:
        """Whether the frame at hand is a person's."""
        return self.memory.roles.get(self.ctx.source) == SourceRole.OPERATOR

    def alert(
        self, rule: int, text: str, *, scope: Scope | None = None, severity: int = AlertSeverity.ERROR,
        state: int = AlertState.RAISED,
    ) -> None:  # fmt: skip
        """A person should know."""
        self.control.alerts += 1
        about = scope_of(scope) if scope is not None else {}
        self.ctx.emit(
            Alert(
                alert=self.control.alerts, about_seq=self.ctx.seq, rule=rule, severity=severity, state=state, text=text, **about
            )
        )

    def answer(self, author: Author, status: RequestState, reason: int, text: str) -> None:
        """What became of a command; nothing where no command was given."""
        if author.request:
            self.ctx.emit(CommandResult(request=author.request, status=status, reason=reason, text=text))
