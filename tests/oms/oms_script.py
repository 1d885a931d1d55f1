"""Order lives as text: one verb a word group, what the OMS said as one line a message.

`python tests/oms/oms_script.py` plays every script of order_lives.txt again and writes down what was said; commit the
difference only if each changed line is understood.
"""

from __future__ import annotations

from pathlib import Path

from oms_recorder import ACCOUNT, GATEWAY, INSTRUMENT, OPERATOR, SECOND, STRATEGY, Recorder

from journal.messages import (
    NULL,
    CancelOrder,
    Channel,
    CxlRejResponseTo,
    Decision,
    ExecType,
    ExecutionReport,
    GatewayPhase,
    KillLevel,
    KillRelease,
    KillSwitch,
    OrderCancelReject,
    OrderSent,
    OrdStatus,
    Reason,
    ReplaceOrder,
    ReportFlag,
    RoutedCancel,
    RoutedOrder,
    RoutedReplace,
    ScopeType,
    SendRefused,
    Side,
    TradeCorrectionAction,
    VenueCancelReject,
    VenueFill,
    VenueOrderUpdate,
    VenueTradeCorrection,
)

_CLASS = {"new": RoutedOrder, "cancel": RoutedCancel, "replace": RoutedReplace}
_SHORT = {
    OrdStatus.RECEIVED: "RCV", OrdStatus.PENDING_NEW: "PN", OrdStatus.NEW: "N", OrdStatus.PARTIALLY_FILLED: "PF",
    OrdStatus.PENDING_CANCEL: "PC", OrdStatus.PENDING_REPLACE: "PR", OrdStatus.UNKNOWN: "U", OrdStatus.SUSPENDED: "SUS",
    OrdStatus.FILLED: "F", OrdStatus.CANCELED: "C", OrdStatus.EXPIRED: "E", OrdStatus.DONE_FOR_DAY: "E",
    OrdStatus.REJECTED: "R",
}  # fmt: skip


class Life:
    """Plays a script on one order of 100 @ 5000."""

    def __init__(self) -> None:
        self.r = Recorder()
        self.r.ready()
        self.order_id = self.number = 0
        self.asked = 0
        self.replace_asked = 0
        self.trade = 0

    def play(self, script: str) -> None:
        for line in script.split(","):
            verb, *words = line.split()
            getattr(self, f"do_{verb}")(*words)
            self.r.oms.check()

    def update(self, exec_type: int, of: str = "", **fields: int) -> None:
        seq = self.r.routed(self.order_id, _CLASS[of]) if of else 0
        self.r.frame(
            VenueOrderUpdate(order_id=self.order_id, account=ACCOUNT, instrument=INSTRUMENT, request_seq=seq,
                             exec_type=exec_type, **fields),
            GATEWAY,
        )  # fmt: skip

    def do_new(self, qty: str = "100") -> None:
        self.number += 1
        self.order_id, self.asked = self.r.new(self.number, qty=int(qty))

    def do_pass(self) -> None:
        self.r.decide(self.asked)

    def do_fail(self) -> None:
        self.r.decide(self.asked, Decision.REJECT, Reason.PRICE_COLLAR)

    def do_pn(self) -> None:
        self.play("new, pass")

    def do_n(self) -> None:
        self.play("pn, ack")

    def do_pf(self) -> None:
        self.play("n, fill 40")

    def do_pc(self) -> None:
        self.play("n, cancel")

    def do_pr(self) -> None:
        self.play("n, replace 200, rpass")

    def do_ack(self) -> None:
        self.update(ExecType.NEW, "new")

    def do_pending(self) -> None:
        self.update(ExecType.PENDING_NEW, "new")

    def do_suspended(self) -> None:
        self.update(ExecType.SUSPENDED)

    def do_triggered(self) -> None:
        self.update(ExecType.TRIGGERED)

    def do_restated(self, qty: str) -> None:
        self.update(ExecType.RESTATED, order_qty=int(qty))

    def do_rejected(self, of: str = "new", status: str = "") -> None:
        ord_status = OrdStatus.CANCELED if status else OrdStatus.REJECTED
        self.update(ExecType.REJECTED, of, reason=Reason.PRICE_REFUSED, ord_status=ord_status)

    def do_fill(self, qty: str, trade: str = "") -> None:
        self.trade += 1
        self.r.frame(
            VenueFill(order_id=self.order_id, account=ACCOUNT, instrument=INSTRUMENT, side=Side.BUY, last_qty=int(qty),
                      last_px=5000, trade_no=int(trade) if trade else 1000 + self.trade),
            GATEWAY,
        )  # fmt: skip

    def do_bust(self, trade: str) -> None:
        self._correct(TradeCorrectionAction.CANCEL, trade, NULL, NULL)

    def do_correct(self, trade: str, qty: str, px: str = "5000") -> None:
        self._correct(TradeCorrectionAction.CORRECT, trade, int(qty), int(px))

    def _correct(self, action: int, trade: str, qty: int, px: int) -> None:
        m = VenueTradeCorrection(order_id=self.order_id, account=ACCOUNT, instrument=INSTRUMENT, action=action,
                                 last_qty=qty, last_px=px, trade_no=int(trade))  # fmt: skip
        self.r.frame(m, GATEWAY)

    def do_canceled(self, cum: str = "") -> None:
        self.update(ExecType.CANCELED, cum_qty=int(cum) if cum else NULL)

    def do_expired(self) -> None:
        self.update(ExecType.EXPIRED)

    def do_day_done(self) -> None:
        self.update(ExecType.DONE_FOR_DAY)

    def do_cod(self) -> None:
        self.update(ExecType.CANCELED, reason=Reason.CANCEL_ON_DISCONNECT)

    def do_stp(self) -> None:
        self.update(ExecType.SELF_TRADE_PREVENTED, reason=Reason.SELF_TRADE_PREVENTED)

    def do_replaced(self, qty: str = "") -> None:
        self.update(ExecType.REPLACED, "replace", order_qty=int(qty) if qty else NULL)

    def do_open(self, cum: str = "", qty: str = "100") -> None:
        self.update(ExecType.ORDER_STATUS, channel=Channel.QUERY, ord_status=OrdStatus.NEW, order_qty=int(qty),
                    price_px=5000, cum_qty=int(cum) if cum else NULL)  # fmt: skip

    def do_closed(self, cum: str, status: str = "CANCELED", qty: str = "") -> None:
        terms = {"order_qty": int(qty), "price_px": 5000} if qty else {}
        self.update(ExecType.ORDER_STATUS, channel=Channel.QUERY, ord_status=OrdStatus[status], cum_qty=int(cum), **terms)

    def do_never(self) -> None:
        self.update(ExecType.ORDER_STATUS, channel=Channel.QUERY, reason=Reason.UNKNOWN_AT_VENUE)

    def do_lagging(self) -> None:
        self.update(ExecType.ORDER_STATUS, channel=Channel.QUERY)

    def do_cancel(self) -> None:
        self.r.frame(CancelOrder(order_id=self.order_id), STRATEGY)

    def do_replace(self, qty: str = "200") -> None:
        self.replace_asked = self.r.frame(ReplaceOrder(order_id=self.order_id, order_qty=int(qty)), STRATEGY)

    def do_rpass(self) -> None:
        self.r.decide(self.replace_asked)

    def do_rfail(self) -> None:
        self.r.decide(self.replace_asked, Decision.REJECT, Reason.POSITION_LIMIT)

    def do_sent(self, of: str = "new") -> None:
        self.r.frame(OrderSent(request_seq=self.r.routed(self.order_id, _CLASS[of]), order_id=self.order_id), GATEWAY)

    def do_refused(self, of: str = "new") -> None:
        seq = self.r.routed(self.order_id, _CLASS[of])
        self.r.frame(SendRefused(request_seq=seq, order_id=self.order_id, reason=Reason.NOT_CONNECTED), GATEWAY)

    def do_no(self, of: str, why: str = "other") -> None:
        reason = {"late": Reason.TOO_LATE_AT_VENUE, "unknown": Reason.UNKNOWN_AT_VENUE, "other": Reason.RATE_LIMIT}[why]
        to = CxlRejResponseTo.CANCEL if of == "cancel" else CxlRejResponseTo.REPLACE
        self.r.frame(VenueCancelReject(order_id=self.order_id, response_to=to, reason=reason), GATEWAY)

    def do_lost(self) -> None:
        self.r.disconnect()

    def do_ready(self) -> None:
        self.r.phase(GatewayPhase.READY)

    def do_wait(self, seconds: str) -> None:
        self.r.pass_time(int(seconds) * SECOND)

    def do_kill(self) -> None:
        kill = KillSwitch(kill=1, level=KillLevel.BLOCK_CANCEL, scope_type=ScopeType.INSTRUMENT, scope_instrument=INSTRUMENT)
        self.r.frame(kill, OPERATOR)

    def do_release(self) -> None:
        self.r.frame(KillRelease(kill=1), OPERATOR)

    def said(self) -> list[str]:
        """Everything emitted, one short line a message."""
        return [_line(m) for m in self.r.emitted]


def _line(m: object) -> str:
    if isinstance(m, ExecutionReport):
        flags = "".join(f" {f.name}" for f in ReportFlag if m.report_flags & f)
        why = f" {Reason(m.reason).name}" if m.reason else ""
        status = _SHORT[OrdStatus(m.ord_status)]
        return f"{ExecType(m.exec_type).name} {status} {m.cum_qty}+{m.leaves_qty}+{m.cxl_qty}{why}{flags}"
    if isinstance(m, OrderCancelReject):
        status = _SHORT[OrdStatus(m.ord_status)]
        return f"refused {CxlRejResponseTo(m.response_to).name} {status} {Reason(m.reason).name}"
    return type(m).__name__


LIVES = Path(__file__).with_name("order_lives.txt")


def read_lives() -> list[tuple[str, str, list[str]]]:
    """(title, script, what is said) of every life written down."""
    found: list[tuple[str, str, list[str]]] = []
    for block in LIVES.read_text().split("\n\n"):
        title, script, *said = block.strip().splitlines()
        found.append((title.removeprefix("# "), script.removeprefix("> "), [line.strip() for line in said]))
    return found


def write_life(title: str, script: str) -> str:
    """One block of the file."""
    life = Life()
    life.play(script)
    return "\n".join([f"# {title}", f"> {script}", *(f"  {line}" for line in life.said())])


if __name__ == "__main__":
    LIVES.write_text("\n\n".join(write_life(title, script) for title, script, _ in read_lives()) + "\n")
