"""Enumerations of the vocabulary. 0 is UNDEFINED everywhere; values are frozen, new ones go to the end.

A list is declared whole where its meaning is the market's (FIX); codes of our own are declared when something first
produces them. FIX characters are mapped at the edge only.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag


class Side(IntEnum):
    """FIX Side (54)."""

    UNDEFINED = 0
    BUY = 1
    SELL = 2
    SELL_SHORT = 3
    SELL_SHORT_EXEMPT = 4


class OrdType(IntEnum):
    """FIX OrdType (40)."""

    UNDEFINED = 0
    MARKET = 1
    LIMIT = 2
    STOP = 3
    STOP_LIMIT = 4
    MARKET_IF_TOUCHED = 5
    LIMIT_IF_TOUCHED = 6
    TRAILING_STOP = 7
    TRAILING_STOP_LIMIT = 8
    MARKET_TO_LIMIT = 9
    PEGGED = 10
    MARKET_ON_CLOSE = 11
    LIMIT_ON_CLOSE = 12
    ICEBERG = 13
    SETTLE_POSITION = 14


class TimeInForce(IntEnum):
    """FIX TimeInForce (59)."""

    UNDEFINED = 0
    DAY = 1
    GTC = 2
    OPG = 3
    IOC = 4
    FOK = 5
    GTX = 6
    GTD = 7
    AT_THE_CLOSE = 8
    GOOD_THROUGH_CROSSING = 9
    AT_CROSSING = 10
    GOOD_FOR_TIME = 11
    GOOD_FOR_AUCTION = 12
    GOOD_FOR_MONTH = 13


class ExecInst(IntFlag):
    """FIX ExecInst (18), as bits."""

    PARTICIPATE_DO_NOT_INITIATE = 1 << 0  # post-only
    DO_NOT_INCREASE = 1 << 1  # reduce-only
    CANCEL_IF_NOT_BEST = 1 << 2
    ALL_OR_NONE = 1 << 3
    HIDDEN = 1 << 4
    CLOSE_POSITION = 1 << 5
    POST_ONLY_SLIDE = 1 << 6
    RETAIL_PRICE_IMPROVEMENT = 1 << 7
    CANCEL_ON_CONNECTION_LOSS = 1 << 8
    CANCEL_ON_TRADING_HALT = 1 << 9
    NOT_HELD = 1 << 10
    NO_MARGIN_BORROW = 1 << 11
    AUTO_BORROW = 1 << 12
    VALIDATE_ONLY = 1 << 13
    EMULATED = 1 << 14
    NO_EMULATION = 1 << 15
    INTERMARKET_SWEEP = 1 << 16
    MMP = 1 << 17


class PositionEffect(IntEnum):
    """FIX PositionEffect (77); DEFAULT is 0."""

    UNDEFINED = 0
    OPEN = 1
    CLOSE = 2
    ROLLED = 3
    FIFO = 4
    CLOSE_BUT_NOTIFY_ON_OPEN = 5


class PositionSide(IntEnum):
    UNDEFINED = 0
    NET = 1
    LONG = 2
    SHORT = 3


class MarginMode(IntEnum):
    UNDEFINED = 0
    ISOLATED = 1
    CROSS = 2
    PORTFOLIO = 3
    CASH = 4


class QuantityType(IntEnum):
    UNDEFINED = 0
    UNITS = 1
    CONTRACTS = 2
    QUOTE_AMOUNT = 3
    PERCENT_OF_POSITION = 4


class StpMode(IntEnum):
    """FIX SelfMatchPreventionInstruction (2964)."""

    UNDEFINED = 0
    NONE = 1
    CANCEL_TAKER = 2
    CANCEL_MAKER = 3
    CANCEL_BOTH = 4
    DECREMENT = 5
    TRANSFER = 6


class OrdStatus(IntEnum):
    """FIX OrdStatus (39). RECEIVED: ours, not yet sent. UNKNOWN: sent, outcome not known."""

    UNDEFINED = 0
    RECEIVED = 1
    PENDING_NEW = 2
    NEW = 3
    PARTIALLY_FILLED = 4
    FILLED = 5
    DONE_FOR_DAY = 6
    CANCELED = 7
    PENDING_CANCEL = 8
    PENDING_REPLACE = 9
    REJECTED = 10
    SUSPENDED = 11
    EXPIRED = 12
    UNKNOWN = 13
    STOPPED = 14
    CALCULATED = 15


class ExecType(IntEnum):
    """FIX ExecType (150); 20-22 are ours."""

    UNDEFINED = 0
    NEW = 1
    TRADE = 2
    CANCELED = 3
    REPLACED = 4
    REJECTED = 5
    EXPIRED = 6
    PENDING_NEW = 7
    PENDING_CANCEL = 8
    PENDING_REPLACE = 9
    TRADE_CORRECT = 10
    TRADE_CANCEL = 11
    RESTATED = 12
    TRIGGERED = 13
    SUSPENDED = 14
    DONE_FOR_DAY = 15
    ORDER_STATUS = 16
    STOPPED = 17
    CALCULATED = 18
    RELEASED = 19
    UNKNOWN = 20
    RESOLVED = 21
    RECEIVED = 22
    DEPTH_REFRESH = 23
    SELF_TRADE_PREVENTED = 24
    LIQUIDATION = 25
    AUTO_DELEVERAGE = 26


class CxlRejResponseTo(IntEnum):
    """FIX CxlRejResponseTo (434)."""

    UNDEFINED = 0
    CANCEL = 1
    REPLACE = 2
    CANCEL_ALL = 3
    QUOTE_CANCEL = 4


class LiquidityIndicator(IntEnum):
    """FIX LastLiquidityInd (851)."""

    UNDEFINED = 0
    MAKER = 1
    TAKER = 2
    ROUTED_OUT = 3
    AUCTION = 4
    LIQUIDATION = 5
    AUTO_DELEVERAGE = 6
    BLOCK = 7
    SETTLEMENT = 8


class FeeType(IntEnum):
    """FIX MiscFeeType (139), those that occur."""

    UNDEFINED = 0
    EXCHANGE = 1
    REBATE = 2
    CLEARING = 3
    TAX = 4
    REGULATORY = 5
    LIQUIDATION = 6
    INSURANCE = 7
    BROKER = 8
    CONVERSION = 9
    OTHER = 10


class Channel(IntEnum):
    """Where news of an order came from; the same fill may arrive by several."""

    UNDEFINED = 0
    ORDER_STREAM = 1
    REQUEST_RESPONSE = 2
    DROP_COPY = 3
    QUERY = 4
    DOWNLOAD = 5
    HISTORY = 6


class QueryType(IntEnum):
    UNDEFINED = 0
    ORDER = 1
    OPEN_ORDERS = 2
    FILLS = 3
    POSITIONS = 4
    FUNDS = 5
    LIMITS = 6


class ReplaceMode(IntEnum):
    UNDEFINED = 0
    AMEND = 1
    CANCEL_NEW = 2


class ReportFlag(IntFlag):
    """ExecutionReport.report_flags."""

    LATE_FILL = 1 << 0
    OVERFILL = 1 << 1
    EXTERNAL = 1 << 2
    DUPLICATE_SUPPRESSED = 1 << 3
    POSITION_FINAL = 1 << 4
    PARENT = 1 << 5
    """Of a parent: its quantities are those of its children, whose own reports are the trades."""


class PegType(IntEnum):
    """FIX PegPriceType (1094); 9, 10 Deribit option orders."""

    UNDEFINED = 0
    LAST = 1
    MID = 2
    OPENING = 3
    MARKET = 4
    PRIMARY = 5
    VWAP = 6
    TRAILING_STOP = 7
    LIMIT_PRICE = 8
    IMPLIED_VOLATILITY = 9
    FIXED_USD = 10


class Trigger(IntEnum):
    """FIX TriggerPriceType (1107)."""

    UNDEFINED = 0
    LAST = 1
    MARK = 2
    INDEX = 3
    BID = 4
    ASK = 5
    MID = 6
    BID_OR_LAST = 7
    ASK_OR_LAST = 8
    ORDER_FILL = 9
    TIME = 10


class TriggerDirection(IntEnum):
    """FIX TriggerPriceDirection (1109)."""

    UNDEFINED = 0
    UP = 1
    DOWN = 2


class TrailType(IntEnum):
    """FIX PegOffsetType (836)."""

    UNDEFINED = 0
    PRICE = 1
    BASIS_POINTS = 2
    TICKS = 3
    PERCENT = 4


class ContingencyType(IntEnum):
    """FIX ContingencyType (1385); BRACKET is an OTO of one parent with an OCO pair."""

    UNDEFINED = 0
    OCO = 1
    OTO = 2
    OUO_ABSOLUTE = 3
    OUO_PROPORTIONAL = 4
    BRACKET = 5
    BID_AND_OFFER = 6


class ListRole(IntEnum):
    """What a member is in its list."""

    UNDEFINED = 0
    PRIMARY = 1
    STOP_LOSS = 2
    TAKE_PROFIT = 3
    SIBLING = 4


class ListStatusCode(IntEnum):
    """FIX ListOrderStatus (431), shortened."""

    UNDEFINED = 0
    RECEIVED = 1
    EXECUTING = 2
    ALL_DONE = 3
    REJECTED = 4
    CANCELING = 5


class AlgoType(IntEnum):
    """FIX TargetStrategy (847); 1000 and above are user-defined."""

    UNDEFINED = 0
    TWAP = 1
    VWAP = 2
    POV = 3
    IMPLEMENTATION_SHORTFALL = 4
    ICEBERG = 5
    PEG = 6
    SMART_ORDER_ROUTER = 7
    SWEEP = 8
    ARRIVAL = 9
    CLOSE = 10


class QuoteStatus(IntEnum):
    """FIX QuoteStatus (297), shortened."""

    UNDEFINED = 0
    ACCEPTED = 1
    ACTIVE = 2
    CANCELED = 3
    REJECTED = 4
    EXPIRED = 5
    TRADED = 6
    REMOVED = 7
    MMP_FROZEN = 8


class MmpState(IntEnum):
    """Market-maker protection of a group of quotes."""

    UNDEFINED = 0
    ACTIVE = 1
    FROZEN = 2


class DkReason(IntEnum):
    """FIX DKReason (127)."""

    UNDEFINED = 0
    UNKNOWN_SYMBOL = 1
    WRONG_SIDE = 2
    QUANTITY_EXCEEDS_ORDER = 3
    NO_MATCHING_ORDER = 4
    PRICE_EXCEEDS_LIMIT = 5
    CALCULATION_DIFFERENCE = 6
    OTHER = 7


class TradeCorrectionAction(IntEnum):
    """What a venue does to a trade it has reported."""

    UNDEFINED = 0
    CANCEL = 1
    CORRECT = 2


class DifferenceType(IntEnum):
    """In what we and the venue differ."""

    UNDEFINED = 0
    ORDER_MISSING_AT_VENUE = 1
    ORDER_UNKNOWN_TO_US = 2
    STATUS = 3
    QUANTITY = 4
    PRICE = 5
    FILL_MISSING_HERE = 6
    FILL_MISSING_AT_VENUE = 7
    FILL_DIFFERS = 8
    POSITION = 9
    BALANCE = 10
    FEE = 11
    FUNDING = 12


class CorrectionAction(IntEnum):
    """What is done about a difference."""

    UNDEFINED = 0
    ADOPT_VENUE_ORDER = 1
    CLOSE_OURS = 2
    APPLY_FILL = 3
    REVERSE_FILL = 4
    ADJUST = 5
    CANCEL_AT_VENUE = 6
    SUSPENSE = 7
    HALT_ACCOUNT = 8
    ACCEPT_DIFFERENCE = 9


class ReconcileTrigger(IntEnum):
    """Why a reconciliation runs."""

    UNDEFINED = 0
    CONNECTED = 1
    TIMER = 2
    OPERATOR = 3
    UNKNOWN_ORDERS = 4


class ReconcileResult(IntEnum):
    """How a reconciliation ended."""

    UNDEFINED = 0
    CONVERGED = 1
    DIFFERENCES_OPEN = 2
    HALTED = 3
    INCOMPLETE = 4


class RateLimitType(IntEnum):
    """What a venue's budget counts (1-7 Roq; 10 Deribit, 11 Kraken)."""

    UNDEFINED = 0
    ORDER_ACTION = 1
    CREATE_ORDER = 2
    REQUEST = 3
    REQUEST_WEIGHT = 4
    CREATE_AND_MODIFY_ORDER = 5
    MODIFY_ORDER = 6
    CANCEL_ORDER = 7
    CONNECTION = 8
    MESSAGE = 9
    CREDIT = 10
    ORDER_AGE_WEIGHTED = 11


class TradingState(IntEnum):
    """Whether a scope may trade."""

    UNDEFINED = 0
    ACTIVE = 1
    REDUCING = 2
    HALTED = 3


class GateState(IntEnum):
    """Whether orders pass."""

    UNDEFINED = 0
    OPEN = 1
    CANCEL_ONLY = 2
    SHUT = 3


class GateCause(IntFlag):
    """What keeps orders from passing."""

    NOT_CONNECTED = 1 << 0
    DOWNLOADING = 1 << 1
    RECONCILING = 1 << 2
    UNKNOWN_ORDERS = 1 << 3
    DIFFERENCES = 1 << 4
    KILL = 1 << 5
    OVERFILL = 1 << 6
    BOOK = 1 << 7
    HALTED = 1 << 8
    DESTINATIONS_DOWN = 1 << 9


class DeadManAction(IntEnum):
    """What is done to a venue's own cancel timer."""

    UNDEFINED = 0
    ARM = 1
    REFRESH = 2
    DISARM = 3


class AbsenceAction(IntEnum):
    """What the absence of a heartbeat leads to."""

    UNDEFINED = 0
    ALERT = 1
    PAUSE = 2
    CANCEL_ALL = 3
    KILL = 4


class ApprovalDecision(IntEnum):
    """What a second person says."""

    UNDEFINED = 0
    APPROVED = 1
    REFUSED = 2


class GroupType(IntEnum):
    UNDEFINED = 0
    DESK = 1
    BOOK = 2
    PORTFOLIO = 3
    STRATEGIES = 4
    UNDERLYING = 5


class MarkType(IntEnum):
    """What a valuation price is."""

    UNDEFINED = 0
    VENUE_MARK = 1
    MID = 2
    LAST = 3
    INDEX = 4
    SETTLEMENT = 5
    MODEL = 6
    CLOSE = 7


class InstrumentType(IntEnum):
    UNDEFINED = 0
    SPOT = 1
    PERPETUAL = 2
    FUTURE = 3
    OPTION = 4
    EQUITY = 5
    INDEX = 6
    SPREAD = 7
    OPTION_SPREAD = 8
    FX = 9
    ETF = 10
    BOND = 11
    WARRANT = 12
    BINARY_OPTION = 13
    TOKENIZED = 14
    CFD = 15


class ContractType(IntEnum):
    UNDEFINED = 0
    LINEAR = 1
    INVERSE = 2
    QUANTO = 3


class InstrumentStatus(IntEnum):
    UNDEFINED = 0
    ACTIVE = 1
    INACTIVE = 2
    CLOSING_ONLY = 3
    EXPIRED = 4
    DELISTED = 5
    PENDING_EXPIRY = 6
    SUSPENDED = 7
    PRE_LISTED = 8
    SETTLING = 9
    POST_ONLY = 10
    CANCEL_ONLY = 11
    LIMIT_ONLY = 12


class TradingStatus(IntEnum):
    UNDEFINED = 0
    START_OF_DAY = 1
    PRE_OPEN = 2
    PRE_OPEN_NO_CANCEL = 3
    PRE_OPEN_FREEZE = 4
    OPEN = 5
    FAST_MARKET = 6
    HALT = 7
    CLOSE_NOT_FINAL = 8
    PRE_CLOSE = 9
    PRE_CLOSE_NO_CANCEL = 10
    PRE_CLOSE_FREEZE = 11
    CLOSE = 12
    POST_CLOSE = 13
    END_OF_DAY = 14
    AUCTION = 15
    CANCEL_ONLY = 16
    POST_ONLY = 17
    LIMIT_ONLY = 18
    REDUCE_ONLY = 19
    MAINTENANCE = 20
    SETTLEMENT = 21
    NOT_AVAILABLE = 22


class HaltReason(IntEnum):
    UNDEFINED = 0
    NEWS_PENDING = 1
    NEWS_DISSEMINATED = 2
    ORDER_IMBALANCE = 3
    ORDER_INFLUX = 4
    VOLATILITY = 5
    EQUIPMENT = 6
    REGULATORY = 7
    MAINTENANCE = 8
    SETTLEMENT = 9
    OTHER = 10


class VenueStatusCode(IntEnum):
    UNDEFINED = 0
    ONLINE = 1
    DEGRADED = 2
    CANCEL_ONLY = 3
    POST_ONLY = 4
    LIMIT_ONLY = 5
    MAINTENANCE = 6
    DOWN = 7
    UNKNOWN = 8


class BookType(IntEnum):
    UNDEFINED = 0
    TOP_OF_BOOK = 1
    MARKET_BY_PRICE = 2
    MARKET_BY_ORDER = 3


class BookStateCode(IntEnum):
    """Only LIVE is tradable."""

    UNDEFINED = 0
    EMPTY = 1
    SNAPSHOT_PENDING = 2
    LIVE = 3
    STALE = 4
    INVALID = 5
    QUARANTINED = 6


class BookStateReason(IntEnum):
    UNDEFINED = 0
    VERIFIED = 1
    SUBSCRIBED = 2
    DISCONNECTED = 3
    SEQUENCE_GAP = 4
    SEQUENCE_BACKWARDS = 5
    CHECKSUM_MISMATCH = 6
    CROSSED = 7
    LOCKED = 8
    EMPTY_SIDE = 9
    NEGATIVE_OR_ZERO = 10
    OFF_TICK = 11
    IMPLAUSIBLE_PRICE = 12
    IMPLAUSIBLE_QUANTITY = 13
    UNSORTED = 14
    NO_UPDATE_TOO_LONG = 15
    VENUE_DOWN = 16
    MARKET_HALTED = 17
    UNKNOWN_LEVEL_DELETED = 18
    TOO_MANY_RESYNCS = 19
    SNAPSHOT_OLDER_THAN_BUFFER = 20
    CHECKSUM_NOT_OFFERED = 21
    OPERATOR = 22
    CLOCK_SKEW = 23
    PARSE_ERROR = 24
    TOO_MANY_LEVELS = 25


class BookProof(IntFlag):
    SEQUENCE = 1 << 0
    CHECKSUM = 1 << 1
    SECOND_FEED = 1 << 2
    PLAUSIBILITY = 1 << 3


class GapAction(IntEnum):
    UNDEFINED = 0
    RESNAPSHOT = 1
    IGNORED = 2


class TradeCondition(IntFlag):
    LIQUIDATION = 1 << 0
    AUTO_DELEVERAGE = 1 << 1
    BLOCK = 1 << 2
    RFQ = 1 << 3
    AUCTION = 1 << 4
    OUT_OF_SEQUENCE = 1 << 5
    CANCELED = 1 << 6
    CORRECTED = 1 << 7
    COMBO_LEG = 1 << 8
    RETAIL = 1 << 9
    OFF_EXCHANGE = 1 << 10
    OPENING = 1 << 11
    CLOSING = 1 << 12
    AGGREGATED = 1 << 13


class SupportType(IntFlag):
    """What a venue or gateway offers (Roq SupportType bits; 29 on are ours)."""

    REFERENCE_DATA = 1 << 0
    MARKET_STATUS = 1 << 1
    TOP_OF_BOOK = 1 << 2
    MARKET_BY_PRICE = 1 << 3
    MARKET_BY_ORDER = 1 << 4
    TRADE_SUMMARY = 1 << 5
    STATISTICS = 1 << 6
    TIME_SERIES = 1 << 7
    CREATE_ORDER = 1 << 16
    MODIFY_ORDER = 1 << 17
    CANCEL_ORDER = 1 << 18
    ORDER_ACK = 1 << 19
    ORDER = 1 << 20
    TRADE = 1 << 21
    POSITION = 1 << 22
    ORDER_STATE = 1 << 23
    FUNDS = 1 << 28
    CANCEL_ALL = 1 << 29
    MASS_QUOTE = 1 << 30
    BATCH = 1 << 31
    DEAD_MAN = 1 << 32
    CANCEL_ON_DISCONNECT = 1 << 33
    MMP = 1 << 34
    AMEND_IN_PLACE = 1 << 35
    NATIVE_OCO = 1 << 36
    NATIVE_TRIGGER = 1 << 37
    DROP_COPY = 1 << 38
    TRADE_HISTORY = 1 << 39
    RATE_LIMITS = 1 << 40


class CurrencyType(IntEnum):
    UNDEFINED = 0
    FIAT = 1
    CRYPTO = 2
    STABLECOIN = 3
    COMMODITY = 4
    POINTS = 5


class VenueType(IntEnum):
    UNDEFINED = 0
    EXCHANGE = 1
    BROKER = 2
    MARKET_DATA_VENDOR = 3
    CLEARER = 4
    SIMULATED = 5


class SessionMode(IntEnum):
    UNDEFINED = 0
    LIVE = 1
    PAPER = 2
    BACKTEST = 3
    REPLAY = 4
    SHADOW = 5
    SIMULATION = 6
    RECORD_ONLY = 7


class DurabilityPolicy(IntEnum):
    """What a gateway waits for before it acts outside."""

    UNDEFINED = 0
    WRITTEN = 1
    DURABLE = 2
    REPLICATED = 3
    DURABLE_AND_REPLICATED = 4


class EpochCause(IntEnum):
    UNDEFINED = 0
    FIRST_START = 1
    RESTART = 2
    FAILOVER = 3
    PLANNED = 4


class ReplicaStateCode(IntEnum):
    """How a follower stands to the stream."""

    UNDEFINED = 0
    JOINING = 1
    IN_SYNC = 2
    LAGGING = 3
    LOST = 4
    REFUSED = 5


class SourceStateCode(IntEnum):
    UNDEFINED = 0
    ATTACHED = 1
    DETACHED = 2
    QUARANTINED = 3
    BANNED = 4
    DEAD = 5
    REPLACED = 6


class Resource(IntEnum):
    UNDEFINED = 0
    DISK = 1
    MEMORY = 2
    FILES = 3
    QUEUE = 4
    CPU = 5
    TIMERS = 6
    DEDUP_WINDOW = 7
    OPEN_ORDERS = 8


class SourceRole(IntEnum):
    UNDEFINED = 0
    SEQUENCER = 1
    SUPERVISOR = 2
    LOADER = 3
    MARKET_DATA = 4
    TRADING = 5
    CLIENT = 6
    BOOKS = 7
    OMS = 8
    RISK = 9
    POSITIONS = 10
    ALGO = 11
    OPERATOR = 12
    SINK = 13
    SIMULATOR = 14


class AppStateCode(IntEnum):
    UNDEFINED = 0
    RESTORING = 1
    REPLAYING = 2
    LIVE = 3
    LAGGING = 4
    HALTED = 5
    STOPPED = 6
    DIVERGED = 7


class DivergenceLevel(IntEnum):
    UNDEFINED = 0
    EMISSION = 1
    DIGEST = 2
    REPLICA = 3
    SCHEMA = 4


class GatewayPhase(IntEnum):
    UNDEFINED = 0
    STOPPED = 1
    CONNECTING = 2
    LOGIN_SENT = 3
    DOWNLOADING = 4
    RECONCILING = 5
    READY = 6
    DEGRADED = 7
    LOGGED_OUT = 8
    DISCONNECTED = 9


class ConnectionState(IntEnum):
    UNDEFINED = 0
    DISCONNECTED = 1
    CONNECTING = 2
    LOGIN_SENT = 3
    SUBSCRIBING = 4
    UP = 5
    STALE = 6
    CLOSING = 7


class Transport(IntEnum):
    UNDEFINED = 0
    TCP = 1
    UDP = 2
    UNIX = 3


class Protocol(IntEnum):
    UNDEFINED = 0
    FIX = 1
    WS = 2
    HTTP = 3
    SBE = 4
    BINARY = 5


class Encoding(IntEnum):
    UNDEFINED = 0
    FIX = 1
    JSON = 2
    SBE = 3
    MESSAGEPACK = 4
    PROTOBUF = 5


class Priority(IntEnum):
    UNDEFINED = 0
    PRIMARY = 1
    SECONDARY = 2


class Direction(IntEnum):
    UNDEFINED = 0
    IN = 1
    OUT = 2


class VenueErrorCode(IntEnum):
    UNDEFINED = 0
    UNPARSED = 1
    UNKNOWN_TYPE = 2
    UNKNOWN_ENUM = 3
    PROTOCOL = 4
    SUBSCRIPTION = 5


class AccountType(IntEnum):
    UNDEFINED = 0
    CASH = 1
    MARGIN = 2
    DERIVATIVES = 3
    UNIFIED = 4
    CLIENT = 5
    HOUSE = 6
    SIMULATED = 7


class PositionMode(IntEnum):
    UNDEFINED = 0
    NETTING = 1
    HEDGING = 2


class IdScheme(IntEnum):
    UNDEFINED = 0
    DECIMAL = 1
    BASE32 = 2
    BASE36 = 3
    BASE62 = 4
    HEX = 5
    UUID = 6
    UUID_TIME_FIRST = 7


class ValueType(IntEnum):
    UNDEFINED = 0
    BOOL = 1
    INT = 2
    DEC = 3
    TEXT = 4
    TIME = 5
    DURATION = 6
    ENUM = 7
    TABLE = 8


class ConfigScope(IntEnum):
    UNDEFINED = 0
    SYSTEM = 1
    SOURCE = 2
    ACCOUNT = 3
    STRATEGY = 4
    INSTRUMENT = 5
    VENUE = 6


class CommandCode(IntEnum):
    UNDEFINED = 0
    START = 1
    STOP = 2
    PAUSE = 3
    RESUME = 4
    FLATTEN = 5
    RELOAD = 6
    CANCEL_ORDER = 7
    CANCEL_ALL = 8
    NEW_ORDER = 9
    REPLACE_ORDER = 10
    KILL = 11
    KILL_RELEASE = 12
    SET_LIMIT = 13
    SET_PARAMETER = 14
    SET_CONFIG = 15
    CONNECT = 16
    DISCONNECT = 17
    RESYNC_BOOK = 18
    RECONCILE = 19
    APPROVE_CORRECTION = 20
    ADJUST_POSITION = 21
    LIFT_BAN = 23


class StrategyStateCode(IntEnum):
    UNDEFINED = 0
    DISABLED = 1
    STARTING = 2
    ENABLED = 3
    PAUSED = 4
    REDUCING = 5
    STOPPING = 6
    FAILED = 7
    BANNED = 8


class AlertSeverity(IntEnum):
    UNDEFINED = 0
    DEBUG = 1
    INFO = 2
    NOTICE = 3
    WARNING = 4
    ERROR = 5
    CRITICAL = 6
    EMERGENCY = 7


class AlertState(IntEnum):
    UNDEFINED = 0
    RAISED = 1
    REPEATED = 2
    CLEARED = 3
    ACKNOWLEDGED = 4


class RequestState(IntEnum):
    UNDEFINED = 0
    FORWARDED = 1
    ACCEPTED = 2
    REJECTED = 3
    PENDING = 4
    DONE = 5
    TIMEOUT = 6
    DISCONNECTED = 7
    FAILED = 8


class ScopeType(IntEnum):
    UNDEFINED = 0
    GLOBAL = 1
    VENUE = 2
    ACCOUNT = 3
    STRATEGY = 4
    USER = 5
    GROUP = 6
    INSTRUMENT = 7
    UNDERLYING = 8
    SOURCE = 9
    ACCOUNT_INSTRUMENT = 10
    STRATEGY_INSTRUMENT = 11
    DESTINATION = 12
    ORDER_TREE = 13


class KillTrigger(IntEnum):
    UNDEFINED = 0
    OPERATOR = 1
    LIMIT = 2
    DEAD_MAN = 3
    DIVERGENCE = 4
    RECONCILE = 5
    REJECT_LOOP = 6
    STREAM = 7
    VENUE = 8
    TIME = 9


class KillLevel(IntEnum):
    UNDEFINED = 0
    BLOCK = 1
    BLOCK_CANCEL = 2
    BLOCK_CANCEL_FLATTEN = 3


class LimitAction(IntEnum):
    """FIX RiskLimitAction (1767)."""

    UNDEFINED = 0
    WARN = 1
    REJECT = 2
    REDUCE_ONLY = 3
    BAN = 4
    DISABLE_STRATEGY = 5
    CANCEL = 6
    KILL = 7
    FLATTEN = 8


class Decision(IntEnum):
    UNDEFINED = 0
    PASS = 1
    REJECT = 2
    PASS_WITH_WARNING = 3


class CheckResult(IntEnum):
    UNDEFINED = 0
    PASS = 1
    WARN = 2
    FAIL = 3
    NOT_APPLICABLE = 4


class RiskCheck(IntEnum):
    """Pre-trade checks; evaluated in this order."""

    UNDEFINED = 0
    KILL_SWITCH = 1
    TRADING_STATE = 2
    GATE = 3
    PERMISSION = 4
    BAN = 5
    CLIENT_ID_UNIQUE = 6
    INSTRUMENT_TRADABLE = 7
    VENUE_CAPABILITY = 8
    PRICE_INCREMENT = 9
    QUANTITY_LIMITS = 10
    LOT_STEP = 11
    QUOTE_QUANTITY_CONVERSION = 12
    NOTIONAL_LIMITS = 13
    BOOK_VERIFIED_FRESH = 14
    PRICE_COLLAR = 15
    PRICE_COLLAR_WINDOW = 16
    ORDER_NOTIONAL = 17
    WORKING_ORDERS = 18
    POSITION = 19
    GROSS_EXPOSURE = 20
    NET_EXPOSURE = 21
    FUNDS = 22
    MARGIN = 23
    CUMULATIVE_FUNDS = 24
    LEVERAGE = 25
    CREDIT = 26
    ORDER_RATE = 27
    RECONNECT_RATE = 28
    DUPLICATE = 29
    SELF_TRADE = 30
    REDUCE_ONLY = 31
    PARENT_INVARIANTS = 32
    VENUE_RATE_BUDGET = 33
    DAILY_LOSS = 34
    DRAWDOWN = 35
    LOSS_STREAK = 36
    REPEATED_EXECUTION = 37
    REJECT_LOOP = 38
    UNKNOWN_ORDERS = 39
    DEAD_MAN = 40
    SHORT_SELL = 41
    RESTRICTED_LIST = 42
    TURNOVER = 44
    CONCENTRATION = 45


class Reason(IntEnum):
    """One closed list for rejects, cancels, expiries and state changes."""

    UNDEFINED = 0
    # Admission, by the sequencer.
    MALFORMED = 1
    BAD_CHECKSUM = 2
    BAD_LENGTH = 3
    OVERSIZED = 4
    UNKNOWN_KIND = 5
    UNKNOWN_VERSION = 6
    KIND_NOT_GRANTED = 7
    SOURCE_QUARANTINED = 8
    SOURCE_BANNED = 9
    SOURCE_SEQ_GAP = 10
    SOURCE_SEQ_BACKWARDS = 11
    DUPLICATE_DIFFERS = 12
    STALE_INCARNATION = 13
    STALE_EPOCH = 14
    PUBLISH_RATE = 15
    RING_CORRUPT = 16
    CAUSE_IN_FUTURE = 17
    NON_CANONICAL = 18
    BUILD_MISMATCH = 19
    SCHEMA_MISMATCH = 20
    MODE_FORBIDS = 21
    STREAM_HALTED = 22
    DISK_LOW = 23
    # Validation.
    MISSING_FIELD = 100
    INVALID_VALUE = 101
    UNKNOWN_INSTRUMENT = 102
    UNKNOWN_ACCOUNT = 103
    UNKNOWN_VENUE_OR_DESTINATION = 104
    UNKNOWN_STRATEGY_OR_USER = 105
    INVALID_SIDE = 106
    INVALID_QUANTITY = 107
    QUANTITY_NOT_ON_LOT = 108
    QUANTITY_BELOW_MINIMUM = 109
    QUANTITY_ABOVE_MAXIMUM = 110
    INVALID_DISPLAY_QUANTITY = 111
    INVALID_PRICE = 112
    PRICE_NOT_ON_TICK = 113
    PRICE_OUTSIDE_STATIC_LIMITS = 114
    INVALID_STOP_OR_TRIGGER = 115
    INVALID_TRAILING_OFFSET = 116
    INVALID_ORD_TYPE = 117
    INVALID_TIME_IN_FORCE = 118
    INVALID_EXEC_INST = 119
    INVALID_POSITION_EFFECT = 120
    INVALID_MARGIN_MODE_OR_LEVERAGE = 121
    INVALID_QUANTITY_TYPE = 122
    INVALID_EXPIRE_TIME = 123
    INVALID_RELEASE_TIME = 124
    INVALID_FILTER = 125
    NOTIONAL_BELOW_MINIMUM = 126
    NOTIONAL_ABOVE_MAXIMUM = 127
    QUANTITY_CONVERSION_FAILED = 128
    ARITHMETIC_OVERFLOW = 129
    NOT_SUPPORTED_BY_VENUE = 130
    INSTRUMENT_NOT_TRADABLE = 131
    INSTRUMENT_EXPIRED = 132
    MARKET_CLOSED = 133
    MARKET_STATUS_FORBIDS = 134
    INVALID_ORDER_LIST = 135
    INVALID_QUOTE = 138
    REFERENCE_DATA_MISSING = 139
    # Risk.
    TRADING_HALTED = 200
    TRADING_STATE_REDUCING = 201
    KILL_SWITCH_ACTIVE = 202
    GATE_SHUT = 203
    RECONCILING = 204
    STRATEGY_DISABLED = 205
    ACCOUNT_DISABLED = 206
    BOOK_NOT_LIVE = 207
    BOOK_TOO_OLD = 208
    REFERENCE_PRICE_UNAVAILABLE = 209
    PRICE_COLLAR = 210
    PRICE_COLLAR_WINDOW = 211
    MAX_ORDER_QUANTITY = 212
    MAX_ORDER_NOTIONAL = 213
    MAX_WORKING_ORDERS = 214
    POSITION_LIMIT = 215
    GROSS_EXPOSURE_LIMIT = 216
    NET_EXPOSURE_LIMIT = 217
    INSUFFICIENT_FUNDS = 218
    INSUFFICIENT_MARGIN = 219
    CUMULATIVE_FUNDS = 220
    LEVERAGE_LIMIT = 221
    ORDER_RATE = 222
    RATE_BAN = 223
    DUPLICATE_ORDER_TERMS = 224
    SELF_TRADE = 225
    REDUCE_ONLY_WOULD_INCREASE = 226
    LOSS_LIMIT = 227
    REPEATED_EXECUTION = 228
    CREDIT_LIMIT = 229
    VENUE_RATE_BUDGET = 230
    REJECT_LOOP = 231
    UNKNOWN_ORDERS_PENDING = 232
    DEAD_MAN_EXPIRED = 233
    MARGIN_CALCULATION_FAILED = 234
    SHORT_SELL_NOT_PERMITTED = 235
    RESTRICTED_INSTRUMENT = 236
    TURNOVER_LIMIT = 238
    CONCENTRATION_LIMIT = 239
    LIMIT_NOT_DEFINED = 240
    # Order management, routing, last line of defence.
    UNKNOWN_ORDER = 300
    DUPLICATE_ORDER_ID = 301
    TOO_LATE = 302
    ALREADY_PENDING = 303
    ORDER_OUTCOME_UNKNOWN = 304
    REPLACE_HAS_NO_EFFECT = 305
    REPLACE_BELOW_CUM = 306
    REPLACE_NOT_ALLOWED = 307
    STALE_VERSION = 308
    CONDITIONAL_VERSION_FAILED = 309
    PARENT_UNKNOWN_OR_CLOSED = 310
    CHILD_EXCEEDS_PARENT = 311
    CHILD_WORSE_THAN_LIMIT = 312
    CHILD_DIFFERS = 313
    CHILD_OUTLIVES_PARENT = 314
    CHILD_UNKNOWN_BLOCKS = 315
    LIST_INCOMPLETE = 316
    LIST_MEMBER_DENIED = 317
    NO_ROUTE = 318
    DESTINATION_DOWN = 319
    GATEWAY_NOT_READY = 320
    EMULATION_NOT_POSSIBLE = 321
    NOT_OWNER = 322
    RISK_PASS_MISSING_OR_DIFFERENT = 323
    RISK_PASS_CONSUMED = 324
    NOT_RELEASED = 325
    HARD_CAP = 326
    NOT_CONNECTED = 327
    TOO_OLD_TO_SEND = 328
    ILLEGAL_TRANSITION = 329
    OVERFILL = 330
    FOREIGN_ORDER = 331
    CONTINGENCY = 332
    PARENT_CANCELED = 333
    POLICY_CANCEL = 334
    USER_REQUEST = 335
    # What the venue said.
    VENUE_OTHER = 400
    UNKNOWN_SYMBOL = 401
    CLOSED = 402
    ORDER_EXCEEDS_LIMIT = 403
    TOO_LATE_AT_VENUE = 404
    UNKNOWN_AT_VENUE = 405
    DUPLICATE_AT_VENUE = 406
    UNSUPPORTED_AT_VENUE = 407
    QUANTITY_REFUSED = 408
    PRICE_REFUSED = 409
    PRICE_BAND = 410
    FUNDS_AT_VENUE = 411
    MARGIN_AT_VENUE = 412
    POSITION_LIMIT_AT_VENUE = 413
    OPEN_ORDER_LIMIT = 414
    POST_ONLY_WOULD_TAKE = 415
    NOT_FILLED_IMMEDIATELY = 416
    REDUCE_ONLY_AT_VENUE = 417
    SELF_TRADE_PREVENTED = 418
    RATE_LIMIT = 419
    ADDRESS_BANNED = 420
    AUTHENTICATION = 421
    PERMISSION = 422
    TIMESTAMP_OR_NONCE = 423
    BUSY = 424
    MAINTENANCE = 425
    MODE_RESTRICTED = 426
    OUTCOME_UNKNOWN = 427
    DISCONNECTED = 428
    RESPONSE_UNPARSED = 429
    ACCOUNT_LOCKED = 430
    LIQUIDATION = 431
    AUTO_DELEVERAGE = 432
    MMP_TRIGGERED = 433
    CANCEL_ON_DISCONNECT = 434
    DEAD_MAN_FIRED = 435
    CONTINGENT_SIBLING = 436
    SETTLEMENT_OR_EXPIRY = 437
    TRIGGER_REJECTED = 438
    HALT_CANCEL = 439
    DELISTED = 440
    CANCELED_ELSEWHERE = 441
    EXPIRED_BY_TIME = 442
    RISK_REDUCTION = 443
    # Sessions, clients, operators.
    NOT_AUTHENTICATED = 500
    NOT_AUTHORIZED = 501
    SESSION_EXPIRED = 502
    HEARTBEAT_LOST = 511
    APPROVAL_REQUIRED = 512
    APPROVAL_REFUSED = 513
    APPROVAL_EXPIRED = 514
    SAME_PERSON = 515
    REPEATED_REQUEST = 516
    CONFIG_INVALID = 517
    COMMAND_NOT_APPLICABLE = 518
    VALIDATED_ONLY = 519
    SHUTDOWN = 520
