"""The venue's word on positions and balances, compared with ours; never copied.

Both are compared when the OMS has finished a run (ReconcileFinished): by then its reports of every fill the venue counted are
here. Fills that came after the venue's word are taken off again, so what is in flight is no difference. What the venue had when
this journal first heard of it and we did not make is its opening: said, accepted by policy, never added to what we hold; from
then on every deviation counts (V29).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from apps.valuation import rescale
from journal.messages import (
    NULL,
    CorrectionAction,
    DifferenceType,
    Funding,
    FundsConfirmed,
    Message,
    PositionConfirmed,
    Reason,
    ReconcileCorrection,
    ReconcileDifference,
    ReconcileFinished,
    ReconcileResult,
)


class Tolerance(msgspec.Struct, array_like=True):
    """How far both may be apart: mantissa and exponent, quantity and currency units."""

    position: int = 0
    position_exp: int = 0
    balance: int = 0
    balance_exp: int = 0


class Word(msgspec.Struct, array_like=True):
    """What the venue said last."""

    seq: int
    theirs: int
    exp: int
    """Of `theirs`: the instrument's or the ledger's."""
    after: int = 0
    """What came after it, in the same units."""


class Paid(msgspec.Struct, array_like=True):
    """A payment of funding that a download told otherwise than it was known: `ours` 0 where it was not known at all."""

    seq: int
    account: int
    instrument: int
    currency: int
    ours: int
    theirs: int
    exp: int


class Confirmed(msgspec.Struct, array_like=True):
    """State of the comparison; exists only where reconciliation is configured. Keys are `account/instrument` or
    `account/currency`."""

    tolerance: Tolerance
    positions: dict[str, Word] = {}
    balances: dict[str, Word] = {}
    openings: dict[str, int] = {}
    """What the venue had and we did not make, or a person has accepted; by type, account and instrument or currency."""
    told: dict[str, tuple[int, int]] = {}
    """Differences said last: the same key → (its frame, theirs less ours)."""
    oms: int = 0
    """Whose runs these are, and whose word on corrections counts."""
    paid: list[Paid] = []
    """To be said with the run."""

    # The venue's word.

    def position(self, m: PositionConfirmed, seq: int, qty_exp: int) -> None:
        """A position there, net."""
        long, short = (0 if q == NULL else q for q in (m.long_qty, m.short_qty))
        self.positions[f"{m.account}/{m.instrument}"] = Word(seq, long - short, qty_exp)

    def funds(self, m: FundsConfirmed, seq: int, ledger_exp: int) -> None:
        """A balance there. Unvalued if it has more decimals than the ledger."""
        if m.balance != NULL:
            self.balances[f"{m.account}/{m.currency}"] = Word(seq, rescale(m.balance, m.exp, ledger_exp), ledger_exp)

    def funded(self, m: Funding, ours: int, theirs: int, ledger_exp: int, seq: int) -> None:
        """A payment there, in ledger units, that was not known so here. One that was not known at all is booked already."""
        self.paid.append(Paid(seq, m.account, m.instrument, m.currency, ours, theirs, ledger_exp))

    # Ours.

    def moved(self, kind: DifferenceType, key: str, amount: int, venue_frame_seq: int) -> None:
        """Something of ours changed by a frame of the venue; what came after its word is not in it."""
        word = self._words(kind).get(key)
        if word is not None and venue_frame_seq > word.seq:
            word.after += amount

    def said(self, m: ReconcileDifference, seq: int) -> None:
        """Our own difference is back with its number."""
        if m.difference == DifferenceType.FUNDING:
            return  # there is nothing to be accepted: whether it matters, the balance tells
        self.told[f"{m.difference}/{m.account}/{m.instrument or m.currency}"] = (seq, m.theirs - m.ours)

    def accepted(self, difference_seq: int) -> None:
        """A difference stays as it is: what is apart now is apart from here on, and counts no more."""
        for name, (seq, apart) in list(self.told.items()):
            if seq == difference_seq:
                self.openings[name] += apart
                del self.told[name]

    def compare(self, m: ReconcileFinished, ours: Mapping[DifferenceType, Callable[[int, int], int]]) -> list[Message]:
        """What to say after a run: each difference, each opening, and how it ended; nothing without a word of the venue.
        `ours`: our own number of an account and instrument, or currency."""
        said: list[Message] = []
        heard = 0
        funded: list[Message] = [_difference(m.run, p) for p in self.paid if p.account == m.account]
        self.paid = [p for p in self.paid if p.account != m.account]
        for kind, number in ours.items():
            words = self._words(kind)
            for key in [k for k in words if int(k.partition("/")[0]) == m.account]:
                heard += 1
                word, what = words.pop(key), int(key.partition("/")[2])
                said += self._compare(m, kind, what, word, number(m.account, what) - word.after)
        if heard:
            left = sum(isinstance(x, ReconcileDifference) for x in said)
            result = ReconcileResult.DIFFERENCES_OPEN if left else ReconcileResult.CONVERGED
            count = left + len(funded)
            said.append(
                ReconcileFinished(run=m.run, account=m.account, differences=count, open=left, venue=m.venue, result=result)
            )
        return [*funded, *said]

    def _compare(self, m: ReconcileFinished, kind: DifferenceType, what: int, word: Word, ours: int) -> list[Message]:
        name = f"{kind}/{m.account}/{what}"
        opening = self.openings.get(name)
        if opening is None:
            opening = self.openings[name] = word.theirs - ours
            # Said by its correction alone: there is nothing that anybody could repair.
            text = f"opening {kind.name.lower()} of {what}: {opening}e{word.exp} at the venue that we did not make"
            action = CorrectionAction.ACCEPT_DIFFERENCE
            accepted = ReconcileCorrection(
                run=m.run, difference_seq=word.seq, reason=Reason.RECONCILING, action=action, text=text
            )
            return [accepted] if opening else []
        t = self.tolerance
        limit, exp = (t.position, t.position_exp) if kind == DifferenceType.POSITION else (t.balance, t.balance_exp)
        finer = min(exp, word.exp)
        if abs(word.theirs - ours - opening) * 10 ** (word.exp - finer) <= limit * 10 ** (exp - finer):
            return []
        difference = ReconcileDifference(
            run=m.run, account=m.account, difference=kind, ours=ours + opening, theirs=word.theirs, exp=word.exp,
            tolerance=limit * 10 ** (exp - finer) // 10 ** (word.exp - finer), venue_frame_seq=word.seq,
        )  # fmt: skip
        if kind == DifferenceType.POSITION:
            difference.instrument = what
        else:
            difference.currency = what
        return [difference]

    def _words(self, kind: DifferenceType) -> dict[str, Word]:
        return self.positions if kind == DifferenceType.POSITION else self.balances


def _difference(run: int, p: Paid) -> ReconcileDifference:
    return ReconcileDifference(
        run=run, account=p.account, difference=DifferenceType.FUNDING, instrument=p.instrument, currency=p.currency,
        ours=p.ours, theirs=p.theirs, exp=p.exp, venue_frame_seq=p.seq,
    )  # fmt: skip
