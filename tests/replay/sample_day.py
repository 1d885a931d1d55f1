"""A small trading day, made up but complete: two instruments, two strategies, every way an order can go.

`make_day` gives the frames as plain tuples, before any journal exists; `write_day` puts them into a journal. Tests compute
what they expect from the tuples and ask the product about the journal. Same seed, same day, same bytes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from journal.messages import (
    AccountDefined,
    CancelOrder,
    CheckOutcome,
    Clock,
    CurrencyDefined,
    CurrencyType,
    DestinationDefined,
    ExecutionReport,
    Flag,
    InstrumentDefined,
    InstrumentType,
    KillSwitch,
    Level,
    MarketByPriceSnapshot,
    MarketByPriceUpdate,
    NewOrder,
    OrderCancelReject,
    OrderSent,
    Position,
    RawMessage,
    Reject,
    ReplaceOrder,
    RiskDecision,
    RoutedCancel,
    RoutedOrder,
    RoutedReplace,
    SessionEnd,
    SessionStart,
    SourceDefined,
    SourceRole,
    SourceState,
    StrategyDefined,
    TopOfBook,
    Trade,
    TradeSummary,
    VenueCancelReject,
    VenueDefined,
    VenueFill,
    VenueOrderUpdate,
    content_hash,
    order_id_of,
)
from journal.messages import enums as e

START_TS = 1_724_000_000_000_000_001
LOADER, MD, TRADING, OMS, RISK, POSITIONS, MAKER, CROSS = 1, 3, 4, 5, 6, 7, 9, 10
BTC, ETH = 1001, 1002
USDT, LEDGER_EXP = 1, -8
EXPONENTS = {BTC: (-1, -3), ETH: (-2, -3)}
NAMES = {BTC: "BTCUSDT", ETH: "ETHUSDT"}
STRATEGY = {MAKER: (1, "maker1"), CROSS: (2, "cross1")}
FEE_EXP = -8


@dataclass
class Put:
    """One frame before it is a frame."""

    seq: int
    ts: int
    source: int
    source_seq: int
    cause: int
    origin_ts: int
    flags: int
    message: Any


@dataclass
class Holding:
    qty: int = 0
    cost: int = 0
    realized: int = 0
    fees: int = 0


@dataclass
class Day:
    """Puts frames one after another; a clock that moves by small, uneven steps."""

    seed: int = 7
    puts: list[Put] = field(default_factory=list)
    holdings: dict[tuple[int, int], Holding] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.ts = START_TS
        self.source_seqs: dict[int, int] = {}
        self.numbers = {MAKER: 40, CROSS: 0}
        self.mid = {BTC: 612_345, ETH: 261_000}
        self.exchange_seq = 900
        self.trade_no = 88_000

    def put(self, message: Any, source: int, cause: int = 0, flags: int = Flag.LAST, wait: int | None = None) -> int:
        self.ts += self.random.randrange(1_000, 60_000) if wait is None else wait
        self.source_seqs[source] = self.source_seqs.get(source, 0) + 1
        origin = self.puts[cause - 1].ts if cause else self.ts - self.random.randrange(500, 9_000)
        seq = len(self.puts) + 1
        self.puts.append(Put(seq, self.ts, source, self.source_seqs[source], cause, origin, int(flags), message))
        return seq

    # -- the morning --------------------------------------------------------------------------------------------------

    def open(self) -> None:
        self.put(
            SessionStart(
                session=1,
                stream_id=77,
                mode=e.SessionMode.PAPER,
                durability=e.DurabilityPolicy.DURABLE,
                name="lockstep",
                version="0.1.0",
                host="testhost",
            ),
            0,
        )
        roles = {
            LOADER: ("loader", SourceRole.LOADER),
            MD: ("sim-md", SourceRole.MARKET_DATA),
            TRADING: ("sim", SourceRole.TRADING),
            OMS: ("oms", SourceRole.OMS),
            RISK: ("risk", SourceRole.RISK),
            POSITIONS: ("positions", SourceRole.POSITIONS),
            MAKER: ("maker1", SourceRole.ALGO),
            CROSS: ("cross1", SourceRole.ALGO),
        }
        for source, (name, role) in roles.items():
            self.put(SourceDefined(uid=1000, source=source, role=role, name=name), 0)
        for source in roles:
            self.put(SourceState(source=source, incarnation=1, state=e.SourceStateCode.ATTACHED), 0)
        self.put(
            CurrencyDefined(currency=USDT, currency_type=CurrencyType.STABLECOIN, ledger_exp=LEDGER_EXP, name="USDT"), LOADER
        )
        self.put(CurrencyDefined(currency=2, currency_type=CurrencyType.CRYPTO, ledger_exp=-8, name="BTC"), LOADER)
        self.put(VenueDefined(venue=1, venue_type=e.VenueType.SIMULATED, name="sim"), LOADER)
        self.put(AccountDefined(account=1, currency=USDT, venue=1, name="sim-main"), LOADER)
        for source, (strategy, name) in STRATEGY.items():
            self.put(StrategyDefined(strategy=strategy, default_account=1, app=source, name=name), LOADER)
        for number, (px_exp, qty_exp) in EXPONENTS.items():
            self.put(
                InstrumentDefined(
                    instrument=number,
                    venue=1,
                    px_exp=px_exp,
                    qty_exp=qty_exp,
                    tick_px=1,
                    lot_qty=1,
                    min_qty=1,
                    instrument_type=InstrumentType.PERPETUAL,
                    contract=e.ContractType.LINEAR,
                    quote_currency=USDT,
                    settlement_currency=USDT,
                    base_currency=2 if number == BTC else 0,
                    name=NAMES[number],
                ),
                LOADER,
            )
        self.put(DestinationDefined(account=1, destination=1, venue=1, gateway=TRADING), LOADER)
        for number in EXPONENTS:
            m = self.mid[number]
            self.put(
                MarketByPriceSnapshot(
                    instrument=number,
                    stream=1,
                    connection_epoch=1,
                    exchange_seq=self.exchange_seq,
                    depth=3,
                    bids=[Level(m - 1 - i, 1000 + i) for i in range(3)],
                    asks=[Level(m + 1 + i, 2000 + i) for i in range(3)],
                ),
                MD,
                flags=Flag.LAST | Flag.SNAPSHOT,
            )

    # -- the market ---------------------------------------------------------------------------------------------------

    def tick(self, instrument: int) -> int:
        self.ts += self.random.randrange(100_000, 3_000_000)
        self.mid[instrument] += self.random.choice((-3, -2, -1, 0, 1, 2, 3))
        m = self.mid[instrument]
        self.exchange_seq += 1
        common = {
            "instrument": instrument,
            "stream": 1,
            "connection_epoch": 1,
            "exchange_ts": self.ts // 10**6 * 10**6,
            "exchange_seq": self.exchange_seq,
        }
        raw = self.put(
            RawMessage(
                stream=1, connection_epoch=1, direction=e.Direction.IN, encoding=e.Encoding.JSON, data=b'{"e":"depthUpdate"}'
            ),
            MD,
        )
        self.put(
            MarketByPriceUpdate(
                **common,
                prev_exchange_seq=self.exchange_seq - 1,
                first_exchange_seq=self.exchange_seq,
                bids=[Level(m - 1, self.random.randrange(1, 5000))],
                asks=[Level(m + 1, self.random.randrange(1, 5000)), Level(m + 9, 0)],
            ),
            MD,
            cause=raw,
        )
        if self.random.random() < 0.3:
            prints = [
                Trade(
                    px=m,
                    qty=self.random.randrange(1, 900),
                    trade_no=self.random.randrange(10**6),
                    trade_ts=self.ts,
                    side=self.random.choice((1, 2)),
                    trade_ref=f"T{self.exchange_seq}-{i}",
                )
                for i in range(self.random.randrange(1, 4))
            ]
            self.put(TradeSummary(**common, trades=prints), MD)
        return self.put(
            TopOfBook(
                **common,
                bid_px=m - 1,
                bid_qty=self.random.randrange(1, 5000),
                ask_px=m + 1,
                ask_qty=self.random.randrange(1, 5000),
            ),
            MD,
        )

    # -- orders -------------------------------------------------------------------------------------------------------

    def report(self, order: Any, cause: int, exec_type: int, status: int, **more: Any) -> int:
        o = order["terms"]
        open_ = status not in (e.OrdStatus.FILLED, e.OrdStatus.CANCELED, e.OrdStatus.REJECTED)
        rest = order["qty"] - order["cum"]
        m = ExecutionReport(
            order_id=o.order_id,
            account=o.account,
            strategy=o.strategy,
            instrument=o.instrument,
            side=o.side,
            ord_type=o.ord_type,
            tif=o.tif,
            exec_inst=o.exec_inst,
            order_qty=order["qty"],
            price_px=order["px"],
            cum_qty=order["cum"],
            leaves_qty=rest if open_ else 0,
            cxl_qty=0 if open_ else rest,
            cum_notional=order["notional"],
            exec_type=exec_type,
            ord_status=status,
            version=order["version"],
            **more,
        )
        return self.put(m, OMS, cause=cause)

    def new(self, source: int, instrument: int, tick: int, side: int, qty: int, px: int) -> tuple[dict[str, Any], int]:
        self.numbers[source] += 1
        terms = NewOrder(
            order_id=order_id_of(source, self.numbers[source]),
            account=1,
            strategy=STRATEGY[source][0],
            instrument=instrument,
            side=side,
            ord_type=e.OrdType.LIMIT,
            tif=e.TimeInForce.GTC,
            exec_inst=e.ExecInst.PARTICIPATE_DO_NOT_INITIATE if source == MAKER else 0,
            order_qty=qty,
            price_px=px,
            book_seq=tick,
            cl_ord_ref=f"c{self.numbers[source]}" if source == CROSS else "",
        )
        seq = self.put(terms, source, cause=tick)
        return {"terms": terms, "qty": qty, "px": px, "cum": 0, "notional": 0, "version": 1, "routed": 0}, seq

    def decide(self, order: Any, request: int, *, passed: bool, kind: int = 300, hash_: int = 0) -> int:
        o = order["terms"]
        held = self.holdings.get((o.strategy, o.instrument), Holding()).qty
        qty_exp = EXPONENTS[o.instrument][1]
        checks = [
            CheckOutcome(check=e.RiskCheck.KILL_SWITCH, result=e.CheckResult.PASS),
            CheckOutcome(
                check=e.RiskCheck.ORDER_NOTIONAL,
                result=e.CheckResult.PASS if passed else e.CheckResult.FAIL,
                value=order["qty"] * order["px"],
                bound=10**12 if passed else 10**6,
                exp=sum(EXPONENTS[o.instrument]),
                limit=11,
            ),
            CheckOutcome(
                check=e.RiskCheck.POSITION,
                result=e.CheckResult.PASS if passed else e.CheckResult.NOT_APPLICABLE,
                value=abs(held) + order["qty"],
                bound=5_000_000,
                exp=qty_exp,
                input_seq=request,
            ),
        ]
        return self.put(
            RiskDecision(
                order_id=o.order_id,
                request_seq=request,
                request_kind=kind,
                content_hash=hash_ or content_hash(o),
                reserved_qty=order["qty"] if passed else 0,
                reserved_notional=order["qty"] * order["px"] * 10 ** (sum(EXPONENTS[o.instrument]) - LEDGER_EXP)
                if passed
                else 0,
                decision=e.Decision.PASS if passed else e.Decision.REJECT,
                reason=0 if passed else e.Reason.MAX_ORDER_NOTIONAL,
                rules_generation=1,
                checks=checks,
            ),
            RISK,
            cause=request,
        )

    def work(self, source: int, instrument: int, tick: int, side: int, qty: int, px: int) -> dict[str, Any]:
        """NewOrder up to the venue's acknowledgement."""
        order, request = self.new(source, instrument, tick, side, qty, px)
        o = order["terms"]
        risk = self.decide(order, request, passed=True)
        routed = self.put(
            RoutedOrder(
                order_id=o.order_id,
                risk_seq=risk,
                content_hash=content_hash(o),
                order_qty=qty,
                price_px=px,
                account=1,
                instrument=instrument,
                strategy=o.strategy,
                exec_inst=o.exec_inst,
                destination=1,
                side=side,
                ord_type=o.ord_type,
                tif=o.tif,
            ),
            OMS,
            cause=risk,
            flags=0,
        )
        order["routed"] = routed
        self.report(order, risk, e.ExecType.PENDING_NEW, e.OrdStatus.PENDING_NEW)
        self.send(order, routed)
        answer = self.venue(order, routed, e.ExecType.NEW, e.OrdStatus.NEW, wait=self.random.randrange(400_000, 2_000_000))
        self.report(order, answer, e.ExecType.NEW, e.OrdStatus.NEW, venue_order_ref=f"V{routed}", venue_frame_seq=answer)
        return order

    def send(self, order: Any, routed: int) -> int:
        return self.put(
            OrderSent(
                request_seq=routed, order_id=order["terms"].order_id, handed_ts=self.ts, bytes=231, stream=2, connection_epoch=1
            ),
            TRADING,
            cause=routed,
        )

    def venue(self, order: Any, request: int, exec_type: int, status: int, wait: int | None = None, **more: Any) -> int:
        o = order["terms"]
        return self.put(
            VenueOrderUpdate(
                request_seq=request,
                order_id=o.order_id,
                order_qty=order["qty"],
                price_px=order["px"],
                cum_qty=order["cum"],
                account=1,
                instrument=o.instrument,
                exec_type=exec_type,
                ord_status=status,
                side=o.side,
                ord_type=o.ord_type,
                tif=o.tif,
                channel=e.Channel.ORDER_STREAM,
                exchange_ts=self.ts,
                client_ref=f"L1-{request}",
                venue_order_ref=f"V{order['routed']}",
                **more,
            ),
            TRADING,
            wait=wait,
        )

    def fill(self, order: Any, qty: int, px: int) -> None:
        o = order["terms"]
        self.trade_no += 1
        px_exp, qty_exp = EXPONENTS[o.instrument]
        notional = qty * px
        fee = notional * 10 ** (px_exp + qty_exp - FEE_EXP) * 2 // 10_000
        said = self.put(
            VenueFill(
                request_seq=order["routed"],
                order_id=o.order_id,
                last_qty=qty,
                last_px=px,
                fee=fee,
                fee_exp=FEE_EXP,
                fee_currency=USDT,
                account=1,
                instrument=o.instrument,
                side=o.side,
                liquidity=e.LiquidityIndicator.MAKER,
                channel=e.Channel.ORDER_STREAM,
                exchange_ts=self.ts,
                trade_no=self.trade_no,
                venue_trade_ref=f"F{self.trade_no}",
                client_ref=f"L1-{order['routed']}",
            ),
            TRADING,
            wait=self.random.randrange(500_000, 5_000_000),
        )
        order["cum"] += qty
        order["notional"] += notional
        done = order["cum"] == order["qty"]
        report = self.report(
            order,
            said,
            e.ExecType.TRADE,
            e.OrdStatus.FILLED if done else e.OrdStatus.PARTIALLY_FILLED,
            last_qty=qty,
            last_px=px,
            fee=fee,
            fee_exp=FEE_EXP,
            fee_currency=USDT,
            liquidity=e.LiquidityIndicator.MAKER,
            venue_frame_seq=said,
            venue_trade_ref=f"F{self.trade_no}",
        )
        held = self.holdings.setdefault((o.strategy, o.instrument), Holding())
        book(held, qty if o.side == e.Side.BUY else -qty, notional * 10 ** (px_exp + qty_exp - LEDGER_EXP), fee)
        self.put(
            Position(
                cost=held.cost,
                realized=held.realized,
                fees=held.fees,
                long_qty=max(held.qty, 0),
                short_qty=max(-held.qty, 0),
                last_fill_seq=report,
                account=1,
                strategy=o.strategy,
                instrument=o.instrument,
                currency=USDT,
                position_side=e.PositionSide.NET,
            ),
            POSITIONS,
            cause=report,
        )

    def cancel(self, order: Any, tick: int, source: int, *, too_late: bool = False) -> None:
        o = order["terms"]
        asked = self.put(
            CancelOrder(order_id=o.order_id, version=order["version"], reason=e.Reason.USER_REQUEST), source, cause=tick
        )
        routed = self.put(
            RoutedCancel(
                order_id=o.order_id, orig_request_seq=order["routed"], account=1, instrument=o.instrument, destination=1
            ),
            OMS,
            cause=asked,
            flags=0,
        )
        self.report(order, asked, e.ExecType.PENDING_CANCEL, e.OrdStatus.PENDING_CANCEL)
        self.send(order, routed)
        if too_late:
            self.fill(order, order["qty"] - order["cum"], order["px"])
            refused = self.put(
                VenueCancelReject(
                    request_seq=routed,
                    order_id=o.order_id,
                    venue_code=-2011,
                    reason=e.Reason.TOO_LATE_AT_VENUE,
                    response_to=e.CxlRejResponseTo.CANCEL,
                    ord_status=e.OrdStatus.FILLED,
                    text="Unknown order sent.",
                ),
                TRADING,
            )
            self.put(
                OrderCancelReject(
                    order_id=o.order_id,
                    reason=e.Reason.TOO_LATE,
                    response_to=e.CxlRejResponseTo.CANCEL,
                    ord_status=e.OrdStatus.FILLED,
                ),
                OMS,
                cause=refused,
            )
            return
        answer = self.venue(order, routed, e.ExecType.CANCELED, e.OrdStatus.CANCELED)
        self.report(order, answer, e.ExecType.CANCELED, e.OrdStatus.CANCELED, reason=e.Reason.USER_REQUEST)

    def replace(self, order: Any, tick: int, source: int, qty: int, px: int) -> None:
        o = order["terms"]
        asked = self.put(ReplaceOrder(order_id=o.order_id, order_qty=qty, price_px=px, version=2), source, cause=tick)
        risk = self.decide(order, asked, passed=True, kind=ReplaceOrder.KIND, hash_=5)
        routed = self.put(
            RoutedReplace(
                order_id=o.order_id,
                risk_seq=risk,
                content_hash=5,
                orig_request_seq=order["routed"],
                order_qty=qty,
                price_px=px,
                account=1,
                instrument=o.instrument,
                version=2,
                destination=1,
                replace_mode=e.ReplaceMode.AMEND,
                side=o.side,
            ),
            OMS,
            cause=risk,
            flags=0,
        )
        self.report(order, risk, e.ExecType.PENDING_REPLACE, e.OrdStatus.PENDING_REPLACE)
        self.send(order, routed)
        order["qty"], order["px"], order["version"] = qty, px, 2
        answer = self.venue(order, routed, e.ExecType.REPLACED, e.OrdStatus.NEW)
        self.report(order, answer, e.ExecType.REPLACED, e.OrdStatus.NEW)

    # -- the day ------------------------------------------------------------------------------------------------------

    def trade(self, ticks: int) -> None:
        for n in range(ticks):
            instrument = ETH if n % 4 == 3 else BTC
            source = CROSS if n % 4 == 3 else MAKER
            tick = self.tick(instrument)
            if n % 5 != 2:
                continue
            mid = self.mid[instrument]
            side = e.Side.BUY if self.random.random() < 0.5 else e.Side.SELL
            px = mid - 1 if side == e.Side.BUY else mid + 1
            qty = self.random.randrange(2, 500)
            way = (n // 5) % 8
            if way == 6:
                order, request = self.new(source, instrument, tick, side, 90_000_000, px)
                risk = self.decide(order, request, passed=False)
                self.report(order, risk, e.ExecType.REJECTED, e.OrdStatus.REJECTED, reason=e.Reason.MAX_ORDER_NOTIONAL)
                continue
            if way == 7:
                self.refused_by_venue(source, instrument, tick, side, qty, px)
                continue
            order = self.work(source, instrument, tick, side, qty, px)
            later = self.tick(instrument)
            if way in (0, 1):
                self.fill(order, qty, px)
            elif way == 2:
                self.fill(order, qty // 2, px)
                self.fill(order, qty - qty // 2, px)
            elif way == 3:
                self.cancel(order, later, source)
            elif way == 4:
                self.replace(order, later, source, qty + 10, px + 1)
                self.fill(order, qty + 10, px + 1)
            elif way == 5:
                self.cancel(order, later, source, too_late=True)
        self.put(Clock(wall_ts=self.ts), 0)

    def refused_by_venue(self, source: int, instrument: int, tick: int, side: int, qty: int, px: int) -> None:
        order, request = self.new(source, instrument, tick, side, qty, px)
        o = order["terms"]
        risk = self.decide(order, request, passed=True)
        routed = self.put(
            RoutedOrder(
                order_id=o.order_id,
                risk_seq=risk,
                content_hash=content_hash(o),
                order_qty=qty,
                price_px=px,
                account=1,
                instrument=instrument,
                strategy=o.strategy,
                destination=1,
                side=side,
                ord_type=o.ord_type,
                tif=o.tif,
            ),
            OMS,
            cause=risk,
            flags=0,
        )
        order["routed"] = routed
        self.report(order, risk, e.ExecType.PENDING_NEW, e.OrdStatus.PENDING_NEW)
        self.send(order, routed)
        answer = self.venue(
            order,
            routed,
            e.ExecType.REJECTED,
            e.OrdStatus.REJECTED,
            reason=e.Reason.POST_ONLY_WOULD_TAKE,
            venue_code=-5022,
            text="Due to the order could not be executed as maker",
        )
        self.report(order, answer, e.ExecType.REJECTED, e.OrdStatus.REJECTED, reason=e.Reason.POST_ONLY_WOULD_TAKE)

    def close(self) -> None:
        self.put(Reject(for_source=MAKER, for_source_seq=3, refused_kind=331, reason=e.Reason.KIND_NOT_GRANTED, count=4), 0)
        tick = self.tick(BTC)
        order = self.work(MAKER, BTC, tick, e.Side.BUY, 77, self.mid[BTC] - 1)
        kill = self.put(
            KillSwitch(
                kill=1,
                level=e.KillLevel.BLOCK_CANCEL,
                trigger=e.KillTrigger.OPERATOR,
                scope_type=e.ScopeType.GLOBAL,
                reason="end of day",
            ),
            RISK,
        )
        routed = self.put(
            RoutedCancel(
                order_id=order["terms"].order_id,
                orig_request_seq=order["routed"],
                account=1,
                instrument=BTC,
                destination=1,
                reason=e.Reason.KILL_SWITCH_ACTIVE,
            ),
            OMS,
            cause=kill,
        )
        self.send(order, routed)
        answer = self.venue(order, routed, e.ExecType.CANCELED, e.OrdStatus.CANCELED)
        self.report(order, answer, e.ExecType.CANCELED, e.OrdStatus.CANCELED, reason=e.Reason.KILL_SWITCH_ACTIVE)
        self.put(SessionEnd(frames=len(self.puts)), 0)


def book(held: Holding, qty: int, amount: int, fee: int) -> None:
    """Average cost in integers. `qty` signed, `amount` = |qty| × px in the ledger's exponent; cost is signed like qty."""
    held.fees += fee
    if held.qty == 0 or (held.qty > 0) == (qty > 0):
        held.qty += qty
        held.cost += amount if qty > 0 else -amount
        return
    closing = min(abs(qty), abs(held.qty))
    released = held.cost * closing // abs(held.qty)
    proceeds = amount * closing // abs(qty)
    held.realized += (proceeds - released) if held.qty > 0 else (-released - proceeds)
    held.cost -= released
    sign = 1 if qty > 0 else -1
    held.qty += sign * closing
    rest = abs(qty) - closing
    if rest:
        held.qty = sign * rest
        held.cost = sign * (amount - proceeds)


def make_day(ticks: int = 200, seed: int = 7) -> Day:
    day = Day(seed)
    day.open()
    day.trade(ticks)
    day.close()
    return day


def write_day(day: Day, path: Path, segment_bytes: int = 1 << 20) -> Path:
    from journal.writer import JournalWriter

    writer = JournalWriter.open(path, stream_id=77, segment_bytes=segment_bytes, nonce=5)
    for p in day.puts:
        seq = writer.append(
            p.message,
            ts=p.ts,
            source=p.source,
            source_seq=p.source_seq,
            cause=p.cause,
            origin_ts=p.origin_ts,
            flags=p.flags,
            incarnation=1,
        )
        assert seq == p.seq
    writer.sync()
    writer.close()
    return path
