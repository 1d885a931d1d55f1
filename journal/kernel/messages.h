/* Generated from journal/messages by `python -m journal.messages.derive`. Do not edit.
 * Fixed parts of all message bodies; variable parts stand behind them, where the descriptors say. */

typedef struct { uint64_t lo; int64_t hi; } lockstep_i128;
struct lockstep_text  { uint32_t at; uint16_t len; uint16_t zero; };
struct lockstep_blob  { uint32_t at; uint32_t len; };
struct lockstep_group { uint32_t at; uint16_t count; uint16_t stride; };

struct lockstep_frame {
    uint32_t length;
    uint32_t crc32c;
    uint16_t kind;
    uint16_t version;
    uint16_t flags;
    uint16_t source;
    uint64_t seq;
    int64_t  ts;
    int64_t  origin_ts;
    uint64_t source_seq;
    uint64_t cause;
    uint32_t epoch;
    uint32_t incarnation;
};

enum lockstep_kind {
    LOCKSTEP_SESSION_START = 1,
    LOCKSTEP_SESSION_END = 2,
    LOCKSTEP_EPOCH_START = 3,
    LOCKSTEP_CLOCK = 4,
    LOCKSTEP_CLOCK_JUMP = 6,
    LOCKSTEP_SEGMENT_SEALED = 7,
    LOCKSTEP_RECOVERY_REPORT = 9,
    LOCKSTEP_SOURCE_DEFINED = 10,
    LOCKSTEP_SOURCE_STATE = 11,
    LOCKSTEP_SOURCE_GAP = 12,
    LOCKSTEP_CONFIG_ITEM = 15,
    LOCKSTEP_CONFIG_APPLIED = 16,
    LOCKSTEP_STATE_DIGEST = 20,
    LOCKSTEP_SNAPSHOT_TAKEN = 21,
    LOCKSTEP_DIVERGENCE = 22,
    LOCKSTEP_REPLICA_STATE = 24,
    LOCKSTEP_STREAM_HALTED = 26,
    LOCKSTEP_REJECT = 30,
    LOCKSTEP_BAN = 31,
    LOCKSTEP_BAN_LIFTED = 32,
    LOCKSTEP_APP_STATE = 33,
    LOCKSTEP_RESOURCE_STATE = 34,
    LOCKSTEP_CURRENCY_DEFINED = 100,
    LOCKSTEP_VENUE_DEFINED = 101,
    LOCKSTEP_ACCOUNT_DEFINED = 102,
    LOCKSTEP_USER_DEFINED = 103,
    LOCKSTEP_STRATEGY_DEFINED = 104,
    LOCKSTEP_GROUP_DEFINED = 105,
    LOCKSTEP_INSTRUMENT_DEFINED = 106,
    LOCKSTEP_TICK_TABLE = 107,
    LOCKSTEP_MARGIN_TABLE = 108,
    LOCKSTEP_FEE_SCHEDULE = 111,
    LOCKSTEP_TRADING_CALENDAR = 112,
    LOCKSTEP_DESTINATION_DEFINED = 113,
    LOCKSTEP_OWNERSHIP_DEFINED = 114,
    LOCKSTEP_MARKET_STATUS = 200,
    LOCKSTEP_TOP_OF_BOOK = 201,
    LOCKSTEP_MARKET_BY_PRICE_SNAPSHOT = 202,
    LOCKSTEP_MARKET_BY_PRICE_UPDATE = 203,
    LOCKSTEP_TRADE_SUMMARY = 206,
    LOCKSTEP_BOOK_STATE = 208,
    LOCKSTEP_MARKET_DATA_GAP = 213,
    LOCKSTEP_RAW_MESSAGE = 290,
    LOCKSTEP_NEW_ORDER = 300,
    LOCKSTEP_REPLACE_ORDER = 301,
    LOCKSTEP_CANCEL_ORDER = 302,
    LOCKSTEP_CANCEL_ALL = 303,
    LOCKSTEP_ORDER_LIST = 304,
    LOCKSTEP_PARENT_ORDER = 305,
    LOCKSTEP_MASS_QUOTE = 306,
    LOCKSTEP_CANCEL_QUOTES = 307,
    LOCKSTEP_ORDER_STATUS_REQUEST = 308,
    LOCKSTEP_ROUTED_ORDER = 320,
    LOCKSTEP_ROUTED_REPLACE = 321,
    LOCKSTEP_ROUTED_CANCEL = 322,
    LOCKSTEP_ROUTED_CANCEL_ALL = 323,
    LOCKSTEP_ROUTED_QUOTE = 324,
    LOCKSTEP_ROUTED_QUERY = 325,
    LOCKSTEP_ROUTED_DEAD_MAN = 326,
    LOCKSTEP_ORDER_SENT = 327,
    LOCKSTEP_SEND_REFUSED = 328,
    LOCKSTEP_VENUE_ORDER_UPDATE = 330,
    LOCKSTEP_VENUE_FILL = 331,
    LOCKSTEP_VENUE_CANCEL_REJECT = 332,
    LOCKSTEP_VENUE_TRADE_CORRECTION = 333,
    LOCKSTEP_VENUE_MASS_CANCEL_REPORT = 334,
    LOCKSTEP_VENUE_QUOTE_UPDATE = 335,
    LOCKSTEP_VENUE_MMP_STATE = 336,
    LOCKSTEP_EXECUTION_REPORT = 350,
    LOCKSTEP_ORDER_CANCEL_REJECT = 351,
    LOCKSTEP_CANCEL_ALL_REPORT = 352,
    LOCKSTEP_QUOTE_STATUS_REPORT = 353,
    LOCKSTEP_LIST_STATUS = 354,
    LOCKSTEP_ROUTING_DECISION = 355,
    LOCKSTEP_RECONCILE_STARTED = 360,
    LOCKSTEP_RECONCILE_DIFFERENCE = 361,
    LOCKSTEP_RECONCILE_CORRECTION = 362,
    LOCKSTEP_RECONCILE_FINISHED = 363,
    LOCKSTEP_DONT_KNOW_TRADE = 370,
    LOCKSTEP_RISK_LIMIT_SET = 400,
    LOCKSTEP_RISK_DECISION = 401,
    LOCKSTEP_VIOLATION = 402,
    LOCKSTEP_KILL_SWITCH = 403,
    LOCKSTEP_KILL_RELEASE = 404,
    LOCKSTEP_TRADING_STATE_SET = 405,
    LOCKSTEP_GATE = 406,
    LOCKSTEP_HEARTBEAT = 407,
    LOCKSTEP_HEARTBEAT_LOST = 408,
    LOCKSTEP_EXPOSURE = 409,
    LOCKSTEP_LIMIT_ACKNOWLEDGED = 410,
    LOCKSTEP_POSITION = 500,
    LOCKSTEP_POSITION_CONFIRMED = 501,
    LOCKSTEP_FUNDS_CONFIRMED = 502,
    LOCKSTEP_MARGIN_CONFIRMED = 504,
    LOCKSTEP_MARK = 520,
    LOCKSTEP_CONVERSION_RATE = 521,
    LOCKSTEP_FUNDING = 522,
    LOCKSTEP_STRATEGY_COMMAND = 600,
    LOCKSTEP_STRATEGY_STATE = 601,
    LOCKSTEP_EMULATED_TRIGGER = 609,
    LOCKSTEP_GATEWAY_STATUS = 700,
    LOCKSTEP_STREAM_STATUS = 701,
    LOCKSTEP_DOWNLOAD_BEGIN = 703,
    LOCKSTEP_DOWNLOAD_END = 704,
    LOCKSTEP_RATE_LIMIT_USAGE = 705,
    LOCKSTEP_VENUE_STATUS = 706,
    LOCKSTEP_VENUE_ERROR = 707,
    LOCKSTEP_VENUE_DEAD_MAN = 710,
    LOCKSTEP_OPERATOR_COMMAND = 800,
    LOCKSTEP_COMMAND_RESULT = 801,
    LOCKSTEP_APPROVAL = 802,
    LOCKSTEP_ALERT = 804,
    LOCKSTEP_LOG_RECORD = 806,
    LOCKSTEP_SIMULATION_SETTINGS = 900,
    LOCKSTEP_IMPORT_PROVENANCE = 901,
    LOCKSTEP_FAULT_INJECTED = 905,
    LOCKSTEP_FILL_DECISION = 906,
};

enum lockstep_book_state_code {
    LOCKSTEP_BOOK_STATE_CODE_UNDEFINED = 0,
    LOCKSTEP_BOOK_STATE_CODE_EMPTY = 1,
    LOCKSTEP_BOOK_STATE_CODE_SNAPSHOT_PENDING = 2,
    LOCKSTEP_BOOK_STATE_CODE_LIVE = 3,
    LOCKSTEP_BOOK_STATE_CODE_STALE = 4,
    LOCKSTEP_BOOK_STATE_CODE_INVALID = 5,
    LOCKSTEP_BOOK_STATE_CODE_QUARANTINED = 6,
};

enum lockstep_check_result {
    LOCKSTEP_CHECK_RESULT_UNDEFINED = 0,
    LOCKSTEP_CHECK_RESULT_PASS = 1,
    LOCKSTEP_CHECK_RESULT_WARN = 2,
    LOCKSTEP_CHECK_RESULT_FAIL = 3,
    LOCKSTEP_CHECK_RESULT_NOT_APPLICABLE = 4,
};

enum lockstep_contract_type {
    LOCKSTEP_CONTRACT_TYPE_UNDEFINED = 0,
    LOCKSTEP_CONTRACT_TYPE_LINEAR = 1,
    LOCKSTEP_CONTRACT_TYPE_INVERSE = 2,
    LOCKSTEP_CONTRACT_TYPE_QUANTO = 3,
};

enum lockstep_decision {
    LOCKSTEP_DECISION_UNDEFINED = 0,
    LOCKSTEP_DECISION_PASS = 1,
    LOCKSTEP_DECISION_REJECT = 2,
    LOCKSTEP_DECISION_PASS_WITH_WARNING = 3,
};

enum lockstep_exec_type {
    LOCKSTEP_EXEC_TYPE_UNDEFINED = 0,
    LOCKSTEP_EXEC_TYPE_NEW = 1,
    LOCKSTEP_EXEC_TYPE_TRADE = 2,
    LOCKSTEP_EXEC_TYPE_CANCELED = 3,
    LOCKSTEP_EXEC_TYPE_REPLACED = 4,
    LOCKSTEP_EXEC_TYPE_REJECTED = 5,
    LOCKSTEP_EXEC_TYPE_EXPIRED = 6,
    LOCKSTEP_EXEC_TYPE_PENDING_NEW = 7,
    LOCKSTEP_EXEC_TYPE_PENDING_CANCEL = 8,
    LOCKSTEP_EXEC_TYPE_PENDING_REPLACE = 9,
    LOCKSTEP_EXEC_TYPE_TRADE_CORRECT = 10,
    LOCKSTEP_EXEC_TYPE_TRADE_CANCEL = 11,
    LOCKSTEP_EXEC_TYPE_RESTATED = 12,
    LOCKSTEP_EXEC_TYPE_TRIGGERED = 13,
    LOCKSTEP_EXEC_TYPE_SUSPENDED = 14,
    LOCKSTEP_EXEC_TYPE_DONE_FOR_DAY = 15,
    LOCKSTEP_EXEC_TYPE_ORDER_STATUS = 16,
    LOCKSTEP_EXEC_TYPE_STOPPED = 17,
    LOCKSTEP_EXEC_TYPE_CALCULATED = 18,
    LOCKSTEP_EXEC_TYPE_RELEASED = 19,
    LOCKSTEP_EXEC_TYPE_UNKNOWN = 20,
    LOCKSTEP_EXEC_TYPE_RESOLVED = 21,
    LOCKSTEP_EXEC_TYPE_RECEIVED = 22,
    LOCKSTEP_EXEC_TYPE_DEPTH_REFRESH = 23,
    LOCKSTEP_EXEC_TYPE_SELF_TRADE_PREVENTED = 24,
    LOCKSTEP_EXEC_TYPE_LIQUIDATION = 25,
    LOCKSTEP_EXEC_TYPE_AUTO_DELEVERAGE = 26,
};

enum lockstep_gateway_phase {
    LOCKSTEP_GATEWAY_PHASE_UNDEFINED = 0,
    LOCKSTEP_GATEWAY_PHASE_STOPPED = 1,
    LOCKSTEP_GATEWAY_PHASE_CONNECTING = 2,
    LOCKSTEP_GATEWAY_PHASE_LOGIN_SENT = 3,
    LOCKSTEP_GATEWAY_PHASE_DOWNLOADING = 4,
    LOCKSTEP_GATEWAY_PHASE_RECONCILING = 5,
    LOCKSTEP_GATEWAY_PHASE_READY = 6,
    LOCKSTEP_GATEWAY_PHASE_DEGRADED = 7,
    LOCKSTEP_GATEWAY_PHASE_LOGGED_OUT = 8,
    LOCKSTEP_GATEWAY_PHASE_DISCONNECTED = 9,
};

enum lockstep_instrument_status {
    LOCKSTEP_INSTRUMENT_STATUS_UNDEFINED = 0,
    LOCKSTEP_INSTRUMENT_STATUS_ACTIVE = 1,
    LOCKSTEP_INSTRUMENT_STATUS_INACTIVE = 2,
    LOCKSTEP_INSTRUMENT_STATUS_CLOSING_ONLY = 3,
    LOCKSTEP_INSTRUMENT_STATUS_EXPIRED = 4,
    LOCKSTEP_INSTRUMENT_STATUS_DELISTED = 5,
    LOCKSTEP_INSTRUMENT_STATUS_PENDING_EXPIRY = 6,
    LOCKSTEP_INSTRUMENT_STATUS_SUSPENDED = 7,
    LOCKSTEP_INSTRUMENT_STATUS_PRE_LISTED = 8,
    LOCKSTEP_INSTRUMENT_STATUS_SETTLING = 9,
    LOCKSTEP_INSTRUMENT_STATUS_POST_ONLY = 10,
    LOCKSTEP_INSTRUMENT_STATUS_CANCEL_ONLY = 11,
    LOCKSTEP_INSTRUMENT_STATUS_LIMIT_ONLY = 12,
};

enum lockstep_ord_status {
    LOCKSTEP_ORD_STATUS_UNDEFINED = 0,
    LOCKSTEP_ORD_STATUS_RECEIVED = 1,
    LOCKSTEP_ORD_STATUS_PENDING_NEW = 2,
    LOCKSTEP_ORD_STATUS_NEW = 3,
    LOCKSTEP_ORD_STATUS_PARTIALLY_FILLED = 4,
    LOCKSTEP_ORD_STATUS_FILLED = 5,
    LOCKSTEP_ORD_STATUS_DONE_FOR_DAY = 6,
    LOCKSTEP_ORD_STATUS_CANCELED = 7,
    LOCKSTEP_ORD_STATUS_PENDING_CANCEL = 8,
    LOCKSTEP_ORD_STATUS_PENDING_REPLACE = 9,
    LOCKSTEP_ORD_STATUS_REJECTED = 10,
    LOCKSTEP_ORD_STATUS_SUSPENDED = 11,
    LOCKSTEP_ORD_STATUS_EXPIRED = 12,
    LOCKSTEP_ORD_STATUS_UNKNOWN = 13,
    LOCKSTEP_ORD_STATUS_STOPPED = 14,
    LOCKSTEP_ORD_STATUS_CALCULATED = 15,
};

enum lockstep_ord_type {
    LOCKSTEP_ORD_TYPE_UNDEFINED = 0,
    LOCKSTEP_ORD_TYPE_MARKET = 1,
    LOCKSTEP_ORD_TYPE_LIMIT = 2,
    LOCKSTEP_ORD_TYPE_STOP = 3,
    LOCKSTEP_ORD_TYPE_STOP_LIMIT = 4,
    LOCKSTEP_ORD_TYPE_MARKET_IF_TOUCHED = 5,
    LOCKSTEP_ORD_TYPE_LIMIT_IF_TOUCHED = 6,
    LOCKSTEP_ORD_TYPE_TRAILING_STOP = 7,
    LOCKSTEP_ORD_TYPE_TRAILING_STOP_LIMIT = 8,
    LOCKSTEP_ORD_TYPE_MARKET_TO_LIMIT = 9,
    LOCKSTEP_ORD_TYPE_PEGGED = 10,
    LOCKSTEP_ORD_TYPE_MARKET_ON_CLOSE = 11,
    LOCKSTEP_ORD_TYPE_LIMIT_ON_CLOSE = 12,
    LOCKSTEP_ORD_TYPE_ICEBERG = 13,
    LOCKSTEP_ORD_TYPE_SETTLE_POSITION = 14,
};

enum lockstep_quantity_type {
    LOCKSTEP_QUANTITY_TYPE_UNDEFINED = 0,
    LOCKSTEP_QUANTITY_TYPE_UNITS = 1,
    LOCKSTEP_QUANTITY_TYPE_CONTRACTS = 2,
    LOCKSTEP_QUANTITY_TYPE_QUOTE_AMOUNT = 3,
    LOCKSTEP_QUANTITY_TYPE_PERCENT_OF_POSITION = 4,
};

enum lockstep_reason {
    LOCKSTEP_REASON_UNDEFINED = 0,
    LOCKSTEP_REASON_MALFORMED = 1,
    LOCKSTEP_REASON_BAD_CHECKSUM = 2,
    LOCKSTEP_REASON_BAD_LENGTH = 3,
    LOCKSTEP_REASON_OVERSIZED = 4,
    LOCKSTEP_REASON_UNKNOWN_KIND = 5,
    LOCKSTEP_REASON_UNKNOWN_VERSION = 6,
    LOCKSTEP_REASON_KIND_NOT_GRANTED = 7,
    LOCKSTEP_REASON_SOURCE_QUARANTINED = 8,
    LOCKSTEP_REASON_SOURCE_BANNED = 9,
    LOCKSTEP_REASON_SOURCE_SEQ_GAP = 10,
    LOCKSTEP_REASON_SOURCE_SEQ_BACKWARDS = 11,
    LOCKSTEP_REASON_DUPLICATE_DIFFERS = 12,
    LOCKSTEP_REASON_STALE_INCARNATION = 13,
    LOCKSTEP_REASON_STALE_EPOCH = 14,
    LOCKSTEP_REASON_PUBLISH_RATE = 15,
    LOCKSTEP_REASON_RING_CORRUPT = 16,
    LOCKSTEP_REASON_CAUSE_IN_FUTURE = 17,
    LOCKSTEP_REASON_NON_CANONICAL = 18,
    LOCKSTEP_REASON_BUILD_MISMATCH = 19,
    LOCKSTEP_REASON_SCHEMA_MISMATCH = 20,
    LOCKSTEP_REASON_MODE_FORBIDS = 21,
    LOCKSTEP_REASON_STREAM_HALTED = 22,
    LOCKSTEP_REASON_DISK_LOW = 23,
    LOCKSTEP_REASON_MISSING_FIELD = 100,
    LOCKSTEP_REASON_INVALID_VALUE = 101,
    LOCKSTEP_REASON_UNKNOWN_INSTRUMENT = 102,
    LOCKSTEP_REASON_UNKNOWN_ACCOUNT = 103,
    LOCKSTEP_REASON_UNKNOWN_VENUE_OR_DESTINATION = 104,
    LOCKSTEP_REASON_UNKNOWN_STRATEGY_OR_USER = 105,
    LOCKSTEP_REASON_INVALID_SIDE = 106,
    LOCKSTEP_REASON_INVALID_QUANTITY = 107,
    LOCKSTEP_REASON_QUANTITY_NOT_ON_LOT = 108,
    LOCKSTEP_REASON_QUANTITY_BELOW_MINIMUM = 109,
    LOCKSTEP_REASON_QUANTITY_ABOVE_MAXIMUM = 110,
    LOCKSTEP_REASON_INVALID_DISPLAY_QUANTITY = 111,
    LOCKSTEP_REASON_INVALID_PRICE = 112,
    LOCKSTEP_REASON_PRICE_NOT_ON_TICK = 113,
    LOCKSTEP_REASON_PRICE_OUTSIDE_STATIC_LIMITS = 114,
    LOCKSTEP_REASON_INVALID_STOP_OR_TRIGGER = 115,
    LOCKSTEP_REASON_INVALID_TRAILING_OFFSET = 116,
    LOCKSTEP_REASON_INVALID_ORD_TYPE = 117,
    LOCKSTEP_REASON_INVALID_TIME_IN_FORCE = 118,
    LOCKSTEP_REASON_INVALID_EXEC_INST = 119,
    LOCKSTEP_REASON_INVALID_POSITION_EFFECT = 120,
    LOCKSTEP_REASON_INVALID_MARGIN_MODE_OR_LEVERAGE = 121,
    LOCKSTEP_REASON_INVALID_QUANTITY_TYPE = 122,
    LOCKSTEP_REASON_INVALID_EXPIRE_TIME = 123,
    LOCKSTEP_REASON_INVALID_RELEASE_TIME = 124,
    LOCKSTEP_REASON_INVALID_FILTER = 125,
    LOCKSTEP_REASON_NOTIONAL_BELOW_MINIMUM = 126,
    LOCKSTEP_REASON_NOTIONAL_ABOVE_MAXIMUM = 127,
    LOCKSTEP_REASON_QUANTITY_CONVERSION_FAILED = 128,
    LOCKSTEP_REASON_ARITHMETIC_OVERFLOW = 129,
    LOCKSTEP_REASON_NOT_SUPPORTED_BY_VENUE = 130,
    LOCKSTEP_REASON_INSTRUMENT_NOT_TRADABLE = 131,
    LOCKSTEP_REASON_INSTRUMENT_EXPIRED = 132,
    LOCKSTEP_REASON_MARKET_CLOSED = 133,
    LOCKSTEP_REASON_MARKET_STATUS_FORBIDS = 134,
    LOCKSTEP_REASON_INVALID_ORDER_LIST = 135,
    LOCKSTEP_REASON_INVALID_QUOTE = 138,
    LOCKSTEP_REASON_REFERENCE_DATA_MISSING = 139,
    LOCKSTEP_REASON_TRADING_HALTED = 200,
    LOCKSTEP_REASON_TRADING_STATE_REDUCING = 201,
    LOCKSTEP_REASON_KILL_SWITCH_ACTIVE = 202,
    LOCKSTEP_REASON_GATE_SHUT = 203,
    LOCKSTEP_REASON_RECONCILING = 204,
    LOCKSTEP_REASON_STRATEGY_DISABLED = 205,
    LOCKSTEP_REASON_ACCOUNT_DISABLED = 206,
    LOCKSTEP_REASON_BOOK_NOT_LIVE = 207,
    LOCKSTEP_REASON_BOOK_TOO_OLD = 208,
    LOCKSTEP_REASON_REFERENCE_PRICE_UNAVAILABLE = 209,
    LOCKSTEP_REASON_PRICE_COLLAR = 210,
    LOCKSTEP_REASON_PRICE_COLLAR_WINDOW = 211,
    LOCKSTEP_REASON_MAX_ORDER_QUANTITY = 212,
    LOCKSTEP_REASON_MAX_ORDER_NOTIONAL = 213,
    LOCKSTEP_REASON_MAX_WORKING_ORDERS = 214,
    LOCKSTEP_REASON_POSITION_LIMIT = 215,
    LOCKSTEP_REASON_GROSS_EXPOSURE_LIMIT = 216,
    LOCKSTEP_REASON_NET_EXPOSURE_LIMIT = 217,
    LOCKSTEP_REASON_INSUFFICIENT_FUNDS = 218,
    LOCKSTEP_REASON_INSUFFICIENT_MARGIN = 219,
    LOCKSTEP_REASON_CUMULATIVE_FUNDS = 220,
    LOCKSTEP_REASON_LEVERAGE_LIMIT = 221,
    LOCKSTEP_REASON_ORDER_RATE = 222,
    LOCKSTEP_REASON_RATE_BAN = 223,
    LOCKSTEP_REASON_DUPLICATE_ORDER_TERMS = 224,
    LOCKSTEP_REASON_SELF_TRADE = 225,
    LOCKSTEP_REASON_REDUCE_ONLY_WOULD_INCREASE = 226,
    LOCKSTEP_REASON_LOSS_LIMIT = 227,
    LOCKSTEP_REASON_REPEATED_EXECUTION = 228,
    LOCKSTEP_REASON_CREDIT_LIMIT = 229,
    LOCKSTEP_REASON_VENUE_RATE_BUDGET = 230,
    LOCKSTEP_REASON_REJECT_LOOP = 231,
    LOCKSTEP_REASON_UNKNOWN_ORDERS_PENDING = 232,
    LOCKSTEP_REASON_DEAD_MAN_EXPIRED = 233,
    LOCKSTEP_REASON_MARGIN_CALCULATION_FAILED = 234,
    LOCKSTEP_REASON_SHORT_SELL_NOT_PERMITTED = 235,
    LOCKSTEP_REASON_RESTRICTED_INSTRUMENT = 236,
    LOCKSTEP_REASON_TURNOVER_LIMIT = 238,
    LOCKSTEP_REASON_CONCENTRATION_LIMIT = 239,
    LOCKSTEP_REASON_LIMIT_NOT_DEFINED = 240,
    LOCKSTEP_REASON_UNKNOWN_ORDER = 300,
    LOCKSTEP_REASON_DUPLICATE_ORDER_ID = 301,
    LOCKSTEP_REASON_TOO_LATE = 302,
    LOCKSTEP_REASON_ALREADY_PENDING = 303,
    LOCKSTEP_REASON_ORDER_OUTCOME_UNKNOWN = 304,
    LOCKSTEP_REASON_REPLACE_HAS_NO_EFFECT = 305,
    LOCKSTEP_REASON_REPLACE_BELOW_CUM = 306,
    LOCKSTEP_REASON_REPLACE_NOT_ALLOWED = 307,
    LOCKSTEP_REASON_STALE_VERSION = 308,
    LOCKSTEP_REASON_CONDITIONAL_VERSION_FAILED = 309,
    LOCKSTEP_REASON_PARENT_UNKNOWN_OR_CLOSED = 310,
    LOCKSTEP_REASON_CHILD_EXCEEDS_PARENT = 311,
    LOCKSTEP_REASON_CHILD_WORSE_THAN_LIMIT = 312,
    LOCKSTEP_REASON_CHILD_DIFFERS = 313,
    LOCKSTEP_REASON_CHILD_OUTLIVES_PARENT = 314,
    LOCKSTEP_REASON_CHILD_UNKNOWN_BLOCKS = 315,
    LOCKSTEP_REASON_LIST_INCOMPLETE = 316,
    LOCKSTEP_REASON_LIST_MEMBER_DENIED = 317,
    LOCKSTEP_REASON_NO_ROUTE = 318,
    LOCKSTEP_REASON_DESTINATION_DOWN = 319,
    LOCKSTEP_REASON_GATEWAY_NOT_READY = 320,
    LOCKSTEP_REASON_EMULATION_NOT_POSSIBLE = 321,
    LOCKSTEP_REASON_NOT_OWNER = 322,
    LOCKSTEP_REASON_RISK_PASS_MISSING_OR_DIFFERENT = 323,
    LOCKSTEP_REASON_RISK_PASS_CONSUMED = 324,
    LOCKSTEP_REASON_NOT_RELEASED = 325,
    LOCKSTEP_REASON_HARD_CAP = 326,
    LOCKSTEP_REASON_NOT_CONNECTED = 327,
    LOCKSTEP_REASON_TOO_OLD_TO_SEND = 328,
    LOCKSTEP_REASON_ILLEGAL_TRANSITION = 329,
    LOCKSTEP_REASON_OVERFILL = 330,
    LOCKSTEP_REASON_FOREIGN_ORDER = 331,
    LOCKSTEP_REASON_CONTINGENCY = 332,
    LOCKSTEP_REASON_PARENT_CANCELED = 333,
    LOCKSTEP_REASON_POLICY_CANCEL = 334,
    LOCKSTEP_REASON_USER_REQUEST = 335,
    LOCKSTEP_REASON_VENUE_OTHER = 400,
    LOCKSTEP_REASON_UNKNOWN_SYMBOL = 401,
    LOCKSTEP_REASON_CLOSED = 402,
    LOCKSTEP_REASON_ORDER_EXCEEDS_LIMIT = 403,
    LOCKSTEP_REASON_TOO_LATE_AT_VENUE = 404,
    LOCKSTEP_REASON_UNKNOWN_AT_VENUE = 405,
    LOCKSTEP_REASON_DUPLICATE_AT_VENUE = 406,
    LOCKSTEP_REASON_UNSUPPORTED_AT_VENUE = 407,
    LOCKSTEP_REASON_QUANTITY_REFUSED = 408,
    LOCKSTEP_REASON_PRICE_REFUSED = 409,
    LOCKSTEP_REASON_PRICE_BAND = 410,
    LOCKSTEP_REASON_FUNDS_AT_VENUE = 411,
    LOCKSTEP_REASON_MARGIN_AT_VENUE = 412,
    LOCKSTEP_REASON_POSITION_LIMIT_AT_VENUE = 413,
    LOCKSTEP_REASON_OPEN_ORDER_LIMIT = 414,
    LOCKSTEP_REASON_POST_ONLY_WOULD_TAKE = 415,
    LOCKSTEP_REASON_NOT_FILLED_IMMEDIATELY = 416,
    LOCKSTEP_REASON_REDUCE_ONLY_AT_VENUE = 417,
    LOCKSTEP_REASON_SELF_TRADE_PREVENTED = 418,
    LOCKSTEP_REASON_RATE_LIMIT = 419,
    LOCKSTEP_REASON_ADDRESS_BANNED = 420,
    LOCKSTEP_REASON_AUTHENTICATION = 421,
    LOCKSTEP_REASON_PERMISSION = 422,
    LOCKSTEP_REASON_TIMESTAMP_OR_NONCE = 423,
    LOCKSTEP_REASON_BUSY = 424,
    LOCKSTEP_REASON_MAINTENANCE = 425,
    LOCKSTEP_REASON_MODE_RESTRICTED = 426,
    LOCKSTEP_REASON_OUTCOME_UNKNOWN = 427,
    LOCKSTEP_REASON_DISCONNECTED = 428,
    LOCKSTEP_REASON_RESPONSE_UNPARSED = 429,
    LOCKSTEP_REASON_ACCOUNT_LOCKED = 430,
    LOCKSTEP_REASON_LIQUIDATION = 431,
    LOCKSTEP_REASON_AUTO_DELEVERAGE = 432,
    LOCKSTEP_REASON_MMP_TRIGGERED = 433,
    LOCKSTEP_REASON_CANCEL_ON_DISCONNECT = 434,
    LOCKSTEP_REASON_DEAD_MAN_FIRED = 435,
    LOCKSTEP_REASON_CONTINGENT_SIBLING = 436,
    LOCKSTEP_REASON_SETTLEMENT_OR_EXPIRY = 437,
    LOCKSTEP_REASON_TRIGGER_REJECTED = 438,
    LOCKSTEP_REASON_HALT_CANCEL = 439,
    LOCKSTEP_REASON_DELISTED = 440,
    LOCKSTEP_REASON_CANCELED_ELSEWHERE = 441,
    LOCKSTEP_REASON_EXPIRED_BY_TIME = 442,
    LOCKSTEP_REASON_RISK_REDUCTION = 443,
    LOCKSTEP_REASON_NOT_AUTHENTICATED = 500,
    LOCKSTEP_REASON_NOT_AUTHORIZED = 501,
    LOCKSTEP_REASON_SESSION_EXPIRED = 502,
    LOCKSTEP_REASON_HEARTBEAT_LOST = 511,
    LOCKSTEP_REASON_APPROVAL_REQUIRED = 512,
    LOCKSTEP_REASON_APPROVAL_REFUSED = 513,
    LOCKSTEP_REASON_APPROVAL_EXPIRED = 514,
    LOCKSTEP_REASON_SAME_PERSON = 515,
    LOCKSTEP_REASON_REPEATED_REQUEST = 516,
    LOCKSTEP_REASON_CONFIG_INVALID = 517,
    LOCKSTEP_REASON_COMMAND_NOT_APPLICABLE = 518,
    LOCKSTEP_REASON_VALIDATED_ONLY = 519,
    LOCKSTEP_REASON_SHUTDOWN = 520,
};

enum lockstep_replace_mode {
    LOCKSTEP_REPLACE_MODE_UNDEFINED = 0,
    LOCKSTEP_REPLACE_MODE_AMEND = 1,
    LOCKSTEP_REPLACE_MODE_CANCEL_NEW = 2,
};

enum lockstep_risk_check {
    LOCKSTEP_RISK_CHECK_UNDEFINED = 0,
    LOCKSTEP_RISK_CHECK_KILL_SWITCH = 1,
    LOCKSTEP_RISK_CHECK_TRADING_STATE = 2,
    LOCKSTEP_RISK_CHECK_GATE = 3,
    LOCKSTEP_RISK_CHECK_PERMISSION = 4,
    LOCKSTEP_RISK_CHECK_BAN = 5,
    LOCKSTEP_RISK_CHECK_CLIENT_ID_UNIQUE = 6,
    LOCKSTEP_RISK_CHECK_INSTRUMENT_TRADABLE = 7,
    LOCKSTEP_RISK_CHECK_VENUE_CAPABILITY = 8,
    LOCKSTEP_RISK_CHECK_PRICE_INCREMENT = 9,
    LOCKSTEP_RISK_CHECK_QUANTITY_LIMITS = 10,
    LOCKSTEP_RISK_CHECK_LOT_STEP = 11,
    LOCKSTEP_RISK_CHECK_QUOTE_QUANTITY_CONVERSION = 12,
    LOCKSTEP_RISK_CHECK_NOTIONAL_LIMITS = 13,
    LOCKSTEP_RISK_CHECK_BOOK_VERIFIED_FRESH = 14,
    LOCKSTEP_RISK_CHECK_PRICE_COLLAR = 15,
    LOCKSTEP_RISK_CHECK_PRICE_COLLAR_WINDOW = 16,
    LOCKSTEP_RISK_CHECK_ORDER_NOTIONAL = 17,
    LOCKSTEP_RISK_CHECK_WORKING_ORDERS = 18,
    LOCKSTEP_RISK_CHECK_POSITION = 19,
    LOCKSTEP_RISK_CHECK_GROSS_EXPOSURE = 20,
    LOCKSTEP_RISK_CHECK_NET_EXPOSURE = 21,
    LOCKSTEP_RISK_CHECK_FUNDS = 22,
    LOCKSTEP_RISK_CHECK_MARGIN = 23,
    LOCKSTEP_RISK_CHECK_CUMULATIVE_FUNDS = 24,
    LOCKSTEP_RISK_CHECK_LEVERAGE = 25,
    LOCKSTEP_RISK_CHECK_CREDIT = 26,
    LOCKSTEP_RISK_CHECK_ORDER_RATE = 27,
    LOCKSTEP_RISK_CHECK_RECONNECT_RATE = 28,
    LOCKSTEP_RISK_CHECK_DUPLICATE = 29,
    LOCKSTEP_RISK_CHECK_SELF_TRADE = 30,
    LOCKSTEP_RISK_CHECK_REDUCE_ONLY = 31,
    LOCKSTEP_RISK_CHECK_PARENT_INVARIANTS = 32,
    LOCKSTEP_RISK_CHECK_VENUE_RATE_BUDGET = 33,
    LOCKSTEP_RISK_CHECK_DAILY_LOSS = 34,
    LOCKSTEP_RISK_CHECK_DRAWDOWN = 35,
    LOCKSTEP_RISK_CHECK_LOSS_STREAK = 36,
    LOCKSTEP_RISK_CHECK_REPEATED_EXECUTION = 37,
    LOCKSTEP_RISK_CHECK_REJECT_LOOP = 38,
    LOCKSTEP_RISK_CHECK_UNKNOWN_ORDERS = 39,
    LOCKSTEP_RISK_CHECK_DEAD_MAN = 40,
    LOCKSTEP_RISK_CHECK_SHORT_SELL = 41,
    LOCKSTEP_RISK_CHECK_RESTRICTED_LIST = 42,
    LOCKSTEP_RISK_CHECK_TURNOVER = 44,
    LOCKSTEP_RISK_CHECK_CONCENTRATION = 45,
};

enum lockstep_scope_type {
    LOCKSTEP_SCOPE_TYPE_UNDEFINED = 0,
    LOCKSTEP_SCOPE_TYPE_GLOBAL = 1,
    LOCKSTEP_SCOPE_TYPE_VENUE = 2,
    LOCKSTEP_SCOPE_TYPE_ACCOUNT = 3,
    LOCKSTEP_SCOPE_TYPE_STRATEGY = 4,
    LOCKSTEP_SCOPE_TYPE_USER = 5,
    LOCKSTEP_SCOPE_TYPE_GROUP = 6,
    LOCKSTEP_SCOPE_TYPE_INSTRUMENT = 7,
    LOCKSTEP_SCOPE_TYPE_UNDERLYING = 8,
    LOCKSTEP_SCOPE_TYPE_SOURCE = 9,
    LOCKSTEP_SCOPE_TYPE_ACCOUNT_INSTRUMENT = 10,
    LOCKSTEP_SCOPE_TYPE_STRATEGY_INSTRUMENT = 11,
    LOCKSTEP_SCOPE_TYPE_DESTINATION = 12,
    LOCKSTEP_SCOPE_TYPE_ORDER_TREE = 13,
};

enum lockstep_side {
    LOCKSTEP_SIDE_UNDEFINED = 0,
    LOCKSTEP_SIDE_BUY = 1,
    LOCKSTEP_SIDE_SELL = 2,
    LOCKSTEP_SIDE_SELL_SHORT = 3,
    LOCKSTEP_SIDE_SELL_SHORT_EXEMPT = 4,
};

enum lockstep_time_in_force {
    LOCKSTEP_TIME_IN_FORCE_UNDEFINED = 0,
    LOCKSTEP_TIME_IN_FORCE_DAY = 1,
    LOCKSTEP_TIME_IN_FORCE_GTC = 2,
    LOCKSTEP_TIME_IN_FORCE_OPG = 3,
    LOCKSTEP_TIME_IN_FORCE_IOC = 4,
    LOCKSTEP_TIME_IN_FORCE_FOK = 5,
    LOCKSTEP_TIME_IN_FORCE_GTX = 6,
    LOCKSTEP_TIME_IN_FORCE_GTD = 7,
    LOCKSTEP_TIME_IN_FORCE_AT_THE_CLOSE = 8,
    LOCKSTEP_TIME_IN_FORCE_GOOD_THROUGH_CROSSING = 9,
    LOCKSTEP_TIME_IN_FORCE_AT_CROSSING = 10,
    LOCKSTEP_TIME_IN_FORCE_GOOD_FOR_TIME = 11,
    LOCKSTEP_TIME_IN_FORCE_GOOD_FOR_AUCTION = 12,
    LOCKSTEP_TIME_IN_FORCE_GOOD_FOR_MONTH = 13,
};

enum lockstep_trading_status {
    LOCKSTEP_TRADING_STATUS_UNDEFINED = 0,
    LOCKSTEP_TRADING_STATUS_START_OF_DAY = 1,
    LOCKSTEP_TRADING_STATUS_PRE_OPEN = 2,
    LOCKSTEP_TRADING_STATUS_PRE_OPEN_NO_CANCEL = 3,
    LOCKSTEP_TRADING_STATUS_PRE_OPEN_FREEZE = 4,
    LOCKSTEP_TRADING_STATUS_OPEN = 5,
    LOCKSTEP_TRADING_STATUS_FAST_MARKET = 6,
    LOCKSTEP_TRADING_STATUS_HALT = 7,
    LOCKSTEP_TRADING_STATUS_CLOSE_NOT_FINAL = 8,
    LOCKSTEP_TRADING_STATUS_PRE_CLOSE = 9,
    LOCKSTEP_TRADING_STATUS_PRE_CLOSE_NO_CANCEL = 10,
    LOCKSTEP_TRADING_STATUS_PRE_CLOSE_FREEZE = 11,
    LOCKSTEP_TRADING_STATUS_CLOSE = 12,
    LOCKSTEP_TRADING_STATUS_POST_CLOSE = 13,
    LOCKSTEP_TRADING_STATUS_END_OF_DAY = 14,
    LOCKSTEP_TRADING_STATUS_AUCTION = 15,
    LOCKSTEP_TRADING_STATUS_CANCEL_ONLY = 16,
    LOCKSTEP_TRADING_STATUS_POST_ONLY = 17,
    LOCKSTEP_TRADING_STATUS_LIMIT_ONLY = 18,
    LOCKSTEP_TRADING_STATUS_REDUCE_ONLY = 19,
    LOCKSTEP_TRADING_STATUS_MAINTENANCE = 20,
    LOCKSTEP_TRADING_STATUS_SETTLEMENT = 21,
    LOCKSTEP_TRADING_STATUS_NOT_AVAILABLE = 22,
};

struct lockstep_algo_parameter_entry {
    uint8_t  type;
    uint8_t  zero0[7];
    struct lockstep_text name;
    struct lockstep_text value;
};

struct lockstep_algo_venue_entry {
    uint16_t venue;
};

struct lockstep_check_outcome_entry {
    int64_t  value;
    int64_t  bound;
    uint64_t input_seq;
    uint32_t limit;
    uint16_t check;
    uint8_t  result;
    int8_t   exp;
};

struct lockstep_grant_entry {
    uint16_t first;
    uint16_t last;
};

struct lockstep_group_member_entry {
    uint32_t member;
    uint32_t member_type;
};

struct lockstep_level_entry {
    int64_t  px;
    int64_t  qty;
};

struct lockstep_list_member_entry {
    uint64_t order_id;
    uint8_t  role;
    uint8_t  zero0[7];
};

struct lockstep_list_member_status_entry {
    uint64_t order_id;
    int64_t  cum_qty;
    uint8_t  ord_status;
    uint8_t  zero0[7];
};

struct lockstep_margin_tier_entry {
    lockstep_i128 from_notional;
    int64_t  initial_rate;
    int64_t  maintenance_rate;
    int64_t  max_leverage_rate;
};

struct lockstep_quote_entry_entry {
    int64_t  bid_px;
    int64_t  bid_qty;
    int64_t  ask_px;
    int64_t  ask_qty;
    uint32_t entry;
    uint32_t instrument;
    uint32_t exec_inst;
    uint16_t set;
    uint8_t  zero0[2];
};

struct lockstep_rate_limit_entry {
    int64_t  period_ns;
    int64_t  end_ts;
    uint32_t limit;
    uint32_t used;
    uint8_t  limit_type;
    uint8_t  origin;
    uint8_t  zero0[6];
};

struct lockstep_route_candidate_entry {
    int64_t  score;
    uint16_t venue;
    uint16_t destination;
    uint16_t skipped;
    uint8_t  zero0[2];
};

struct lockstep_setting_entry {
    struct lockstep_text key;
    struct lockstep_text value;
};

struct lockstep_tick_step_entry {
    int64_t  from_px;
    int64_t  tick_px;
};

struct lockstep_trade_entry {
    int64_t  px;
    int64_t  qty;
    uint64_t trade_no;
    int64_t  trade_ts;
    uint16_t conditions;
    uint8_t  side;
    uint8_t  zero0[5];
    struct lockstep_text trade_ref;
};

/* 1 */
struct lockstep_session_start {
    uint64_t session;
    uint64_t stream_id;
    uint64_t prev_last_seq;
    uint8_t  mode;
    uint8_t  durability;
    uint8_t  replicas;
    uint8_t  zero0[5];
    uint8_t  build_digest[32];
    uint8_t  config_digest[32];
    uint8_t  schema_digest[32];
    struct lockstep_text name;
    struct lockstep_text version;
    struct lockstep_text host;
};

/* 2 */
struct lockstep_session_end {
    uint64_t frames;
    uint16_t reason;
    uint8_t  zero0[6];
    uint8_t  chain_digest[32];
};

/* 3 */
struct lockstep_epoch_start {
    uint64_t prev_last_seq;
    uint32_t new_epoch;
    uint32_t prev_epoch;
    uint16_t node;
    uint8_t  cause_code;
    uint8_t  zero0[5];
    uint8_t  prev_chain_digest[32];
};

/* 4 */
struct lockstep_clock {
    int64_t  wall_ts;
    int64_t  mono_ns;
};

/* 6 */
struct lockstep_clock_jump {
    int64_t  before_ts;
    int64_t  after_ts;
    int64_t  mono_delta_ns;
};

/* 7 */
struct lockstep_segment_sealed {
    uint64_t first_seq;
    uint64_t last_seq;
    uint32_t segment;
    uint8_t  zero0[4];
    uint8_t  chain_digest[32];
    struct lockstep_text signature;
};

/* 9 */
struct lockstep_recovery_report {
    uint64_t kept_seq;
    uint64_t cut_bytes;
    uint64_t quarantined_bytes;
    uint32_t segment;
    uint16_t reason;
    uint8_t  zero0[2];
    struct lockstep_text file;
};

/* 10 */
struct lockstep_source_defined {
    uint32_t uid;
    uint32_t rate_limit;
    uint16_t source;
    uint16_t node;
    uint8_t  role;
    uint8_t  zero0[3];
    struct lockstep_text name;
    struct lockstep_group grants;
};

/* 11 */
struct lockstep_source_state {
    uint64_t last_source_seq;
    uint32_t incarnation;
    uint16_t source;
    uint16_t reason;
    uint8_t  state;
    uint8_t  zero0[7];
    uint8_t  build_digest[32];
};

/* 12 */
struct lockstep_source_gap {
    uint64_t expected_source_seq;
    uint64_t got_source_seq;
    uint16_t source;
    uint8_t  zero0[6];
};

/* 15 */
struct lockstep_config_item {
    uint32_t generation;
    uint16_t owner;
    uint8_t  scope;
    uint8_t  value_type;
    struct lockstep_text name;
    struct lockstep_text value;
};

/* 16 */
struct lockstep_config_applied {
    uint64_t approval_seq;
    uint32_t generation;
    uint32_t items;
    uint16_t owner;
    uint8_t  zero0[6];
    uint8_t  digest[32];
};

/* 20 */
struct lockstep_state_digest {
    uint64_t upto_seq;
    uint64_t events;
    uint16_t app;
    uint8_t  zero0[6];
    uint8_t  digest[32];
};

/* 21 */
struct lockstep_snapshot_taken {
    uint64_t upto_seq;
    uint64_t size;
    uint16_t app;
    uint8_t  zero0[6];
    uint8_t  digest[32];
    uint8_t  state_schema_digest[32];
    struct lockstep_text file;
};

/* 22 */
struct lockstep_divergence {
    uint64_t at_seq;
    uint16_t app;
    uint8_t  level;
    uint8_t  zero0[5];
    uint8_t  expected_digest[32];
    uint8_t  got_digest[32];
    struct lockstep_text field;
};

/* 24 */
struct lockstep_replica_state {
    uint64_t acked_seq;
    uint64_t lag_bytes;
    uint16_t node;
    uint16_t reason;
    uint8_t  state;
    uint8_t  zero0[3];
    struct lockstep_text name;
};

/* 26 */
struct lockstep_stream_halted {
    int64_t  os_error;
    uint16_t reason;
    uint8_t  zero0[6];
};

/* 30 */
struct lockstep_reject {
    uint64_t for_source_seq;
    uint32_t count;
    uint16_t for_source;
    uint16_t refused_kind;
    uint16_t reason;
    uint8_t  zero0[6];
    uint8_t  content_digest[32];
};

/* 31 */
struct lockstep_ban {
    uint64_t scope_order_id;
    uint32_t scope_account;
    uint32_t scope_strategy;
    uint32_t scope_user;
    uint32_t scope_group;
    uint32_t scope_instrument;
    uint32_t scope_underlying;
    uint16_t scope_venue;
    uint16_t scope_source;
    uint8_t  scope_type;
    uint8_t  scope_zero8;
    uint16_t scope_zero16;
    int64_t  until_ts;
    uint32_t count;
    uint16_t rule;
    uint8_t  zero0[2];
};

/* 32 */
struct lockstep_ban_lifted {
    uint64_t ban_seq;
    uint16_t reason;
    uint8_t  zero0[6];
};

/* 33 */
struct lockstep_app_state {
    uint64_t at_seq;
    uint16_t app;
    uint16_t restarts;
    uint16_t reason;
    uint8_t  state;
    uint8_t  zero0[1];
};

/* 34 */
struct lockstep_resource_state {
    uint64_t used;
    uint64_t capacity;
    uint8_t  resource;
    uint8_t  zero0[7];
};

/* 100 */
struct lockstep_currency_defined {
    uint32_t currency;
    uint8_t  currency_type;
    int8_t   ledger_exp;
    uint8_t  zero0[2];
    struct lockstep_text name;
};

/* 101 */
struct lockstep_venue_defined {
    uint64_t supports;
    uint32_t ord_types;
    uint32_t tifs;
    uint32_t exec_insts;
    uint16_t venue;
    uint16_t stp_modes;
    uint8_t  venue_type;
    uint8_t  quantity_types;
    uint8_t  md_continuity;
    uint8_t  zero0[5];
    struct lockstep_text name;
    struct lockstep_text mic;
};

/* 102 */
struct lockstep_account_defined {
    uint32_t account;
    uint32_t parent_account;
    uint32_t currency;
    uint16_t venue;
    uint8_t  account_type;
    uint8_t  margin_mode;
    uint8_t  position_mode;
    uint8_t  id_scheme;
    uint8_t  zero0[6];
    struct lockstep_text name;
    struct lockstep_text external_ref;
};

/* 103 */
struct lockstep_user_defined {
    uint32_t user;
    uint32_t roles;
    uint32_t desk;
    uint8_t  status;
    uint8_t  zero0[3];
    struct lockstep_text name;
};

/* 104 */
struct lockstep_strategy_defined {
    uint32_t strategy;
    uint32_t owner_user;
    uint32_t default_account;
    uint16_t app;
    uint8_t  zero0[2];
    struct lockstep_text name;
};

/* 105 */
struct lockstep_group_defined {
    uint32_t group;
    uint8_t  group_type;
    uint8_t  zero0[3];
    struct lockstep_text name;
    struct lockstep_group members;
};

/* 106 */
struct lockstep_instrument_defined {
    lockstep_i128 min_notional;
    lockstep_i128 max_notional;
    int64_t  tick_px;
    int64_t  lot_qty;
    int64_t  min_qty;
    int64_t  max_qty;
    int64_t  market_max_qty;
    int64_t  post_only_max_qty;
    int64_t  min_px;
    int64_t  max_px;
    int64_t  band_up_rate;
    int64_t  band_down_rate;
    int64_t  multiplier;
    int64_t  quanto_rate;
    int64_t  strike_px;
    int64_t  initial_rate;
    int64_t  maintenance_rate;
    int64_t  maker_rate;
    int64_t  taker_rate;
    int64_t  funding_interval_ns;
    int64_t  listed_ts;
    int64_t  expiry_ts;
    int64_t  settle_ts;
    int64_t  delisted_ts;
    int64_t  exchange_ts;
    uint32_t instrument;
    uint32_t base_currency;
    uint32_t quote_currency;
    uint32_t settlement_currency;
    uint32_t margin_currency;
    uint32_t commission_currency;
    uint32_t strike_currency;
    uint32_t underlying;
    uint16_t venue;
    uint16_t max_orders;
    uint16_t max_trigger_orders;
    uint8_t  instrument_type;
    uint8_t  instrument_status;
    uint8_t  contract;
    int8_t   px_exp;
    int8_t   qty_exp;
    int8_t   multiplier_exp;
    int8_t   quanto_rate_exp;
    uint8_t  quantity_type;
    uint8_t  option_type;
    uint8_t  exercise_style;
    uint8_t  price_type;
    uint8_t  zero0[7];
    struct lockstep_text name;
    struct lockstep_text cfi;
    struct lockstep_text description;
};

/* 107 */
struct lockstep_tick_table {
    uint32_t instrument;
    uint8_t  zero0[4];
    struct lockstep_group steps;
};

/* 108 */
struct lockstep_margin_table {
    uint32_t instrument;
    uint32_t account;
    struct lockstep_group tiers;
};

/* 111 */
struct lockstep_fee_schedule {
    int64_t  rate;
    int64_t  flat_amt;
    int64_t  valid_from_ts;
    uint32_t account;
    uint32_t instrument;
    uint32_t currency;
    uint16_t venue;
    uint8_t  liquidity;
    uint8_t  fee_type;
};

/* 112 */
struct lockstep_trading_calendar {
    int64_t  from_ts;
    int64_t  to_ts;
    uint32_t instrument;
    uint16_t venue;
    uint8_t  phase;
    uint8_t  zero0[1];
};

/* 113 */
struct lockstep_destination_defined {
    uint32_t account;
    uint16_t destination;
    uint16_t venue;
    uint16_t gateway;
    uint8_t  transport;
    uint8_t  priority;
    uint8_t  zero0[4];
};

/* 114 */
struct lockstep_ownership_defined {
    uint32_t account;
    uint32_t instrument;
    uint32_t strategy;
    uint8_t  exclusive;
    uint8_t  zero0[3];
};

/* 200 */
struct lockstep_market_status {
    uint32_t instrument;
    uint16_t stream;
    uint16_t connection_epoch;
    int64_t  exchange_ts;
    int64_t  sending_ts;
    uint64_t exchange_seq;
    int64_t  until_ts;
    uint8_t  trading_status;
    uint8_t  halt_reason;
    uint8_t  venue_status;
    uint8_t  zero0[5];
};

/* 201 */
struct lockstep_top_of_book {
    uint32_t instrument;
    uint16_t stream;
    uint16_t connection_epoch;
    int64_t  exchange_ts;
    int64_t  sending_ts;
    uint64_t exchange_seq;
    int64_t  bid_px;
    int64_t  bid_qty;
    int64_t  ask_px;
    int64_t  ask_qty;
    uint32_t bid_orders;
    uint32_t ask_orders;
};

/* 202 */
struct lockstep_market_by_price_snapshot {
    uint32_t instrument;
    uint16_t stream;
    uint16_t connection_epoch;
    int64_t  exchange_ts;
    int64_t  sending_ts;
    uint64_t exchange_seq;
    uint32_t checksum;
    uint16_t depth;
    uint8_t  zero0[2];
    struct lockstep_group bids;
    struct lockstep_group asks;
};

/* 203 */
struct lockstep_market_by_price_update {
    uint32_t instrument;
    uint16_t stream;
    uint16_t connection_epoch;
    int64_t  exchange_ts;
    int64_t  sending_ts;
    uint64_t exchange_seq;
    uint64_t prev_exchange_seq;
    uint64_t first_exchange_seq;
    uint32_t checksum;
    uint16_t depth;
    uint8_t  zero0[2];
    struct lockstep_group bids;
    struct lockstep_group asks;
};

/* 206 */
struct lockstep_trade_summary {
    uint32_t instrument;
    uint16_t stream;
    uint16_t connection_epoch;
    int64_t  exchange_ts;
    int64_t  sending_ts;
    uint64_t exchange_seq;
    struct lockstep_group trades;
};

/* 208 */
struct lockstep_book_state {
    uint32_t instrument;
    uint16_t stream;
    uint16_t connection_epoch;
    int64_t  exchange_ts;
    int64_t  sending_ts;
    uint64_t exchange_seq;
    uint64_t exchange_seq_last;
    uint64_t updates_verified;
    uint32_t expected_checksum;
    uint32_t got_checksum;
    uint8_t  book_type;
    uint8_t  state;
    uint8_t  reason;
    uint8_t  proof;
    uint8_t  zero0[4];
};

/* 213 */
struct lockstep_market_data_gap {
    uint32_t instrument;
    uint16_t stream;
    uint16_t connection_epoch;
    int64_t  exchange_ts;
    int64_t  sending_ts;
    uint64_t exchange_seq;
    uint64_t expected_seq;
    uint64_t got_seq;
    uint8_t  action;
    uint8_t  zero0[7];
};

/* 290 */
struct lockstep_raw_message {
    uint64_t request_seq;
    uint16_t stream;
    uint16_t connection_epoch;
    uint16_t part;
    uint16_t parts;
    uint8_t  direction;
    uint8_t  encoding;
    uint8_t  zero0[6];
    struct lockstep_blob data;
};

/* 300 */
struct lockstep_new_order {
    uint64_t order_id;
    uint64_t parent_order_id;
    uint64_t list_id;
    int64_t  order_qty;
    int64_t  price_px;
    int64_t  stop_px;
    int64_t  trail_offset;
    int64_t  display_qty;
    int64_t  min_qty;
    int64_t  peg_offset;
    int64_t  leverage;
    int64_t  expire_ts;
    int64_t  release_ts;
    uint64_t book_seq;
    uint32_t account;
    uint32_t strategy;
    uint32_t user;
    uint32_t instrument;
    uint32_t exec_inst;
    uint16_t template;
    uint16_t destination;
    uint8_t  side;
    uint8_t  ord_type;
    uint8_t  tif;
    uint8_t  position_effect;
    uint8_t  margin_mode;
    uint8_t  quantity_type;
    uint8_t  stp_mode;
    uint8_t  trigger;
    uint8_t  trigger_direction;
    uint8_t  trail_type;
    uint8_t  peg_type;
    int8_t   trail_offset_exp;
    int8_t   peg_offset_exp;
    int8_t   leverage_exp;
    uint8_t  zero0[2];
    struct lockstep_text cl_ord_ref;
};

/* 301 */
struct lockstep_replace_order {
    uint64_t order_id;
    int64_t  order_qty;
    int64_t  price_px;
    int64_t  stop_px;
    int64_t  display_qty;
    int64_t  expire_ts;
    int64_t  release_ts;
    uint32_t version;
    uint32_t conditional_on_version;
    struct lockstep_text cl_ord_ref;
};

/* 302 */
struct lockstep_cancel_order {
    uint64_t order_id;
    int64_t  release_ts;
    uint32_t version;
    uint32_t conditional_on_version;
    uint16_t reason;
    uint8_t  zero0[6];
    struct lockstep_text cl_ord_ref;
};

/* 303 */
struct lockstep_cancel_all {
    uint64_t scope_order_id;
    uint32_t scope_account;
    uint32_t scope_strategy;
    uint32_t scope_user;
    uint32_t scope_group;
    uint32_t scope_instrument;
    uint32_t scope_underlying;
    uint16_t scope_venue;
    uint16_t scope_source;
    uint8_t  scope_type;
    uint8_t  scope_zero8;
    uint16_t scope_zero16;
    uint64_t request;
    uint16_t reason;
    uint8_t  side;
    uint8_t  zero0[5];
};

/* 304 */
struct lockstep_order_list {
    uint64_t list_id;
    uint8_t  contingency;
    uint8_t  trigger_mode;
    uint8_t  zero0[6];
    struct lockstep_group members;
};

/* 305 */
struct lockstep_parent_order {
    uint64_t order_id;
    int64_t  order_qty;
    int64_t  limit_px;
    int64_t  start_ts;
    int64_t  end_ts;
    int64_t  participation_rate;
    int64_t  max_slice_qty;
    int64_t  min_slice_qty;
    uint32_t account;
    uint32_t strategy;
    uint32_t user;
    uint32_t instrument;
    uint16_t algo;
    uint8_t  side;
    uint8_t  urgency;
    uint8_t  zero0[4];
    struct lockstep_group venues;
    struct lockstep_group parameters;
};

/* 306 */
struct lockstep_mass_quote {
    uint64_t quote_id;
    int64_t  valid_until_ts;
    uint32_t account;
    uint32_t strategy;
    uint16_t mmp_group;
    uint8_t  mmp_reset;
    uint8_t  zero0[5];
    struct lockstep_group entries;
};

/* 307 */
struct lockstep_cancel_quotes {
    uint64_t quote_id;
    uint32_t account;
    uint32_t instrument;
    uint16_t set;
    uint16_t reason;
    uint8_t  zero0[4];
};

/* 308 */
struct lockstep_order_status_request {
    uint64_t scope_order_id;
    uint32_t scope_account;
    uint32_t scope_strategy;
    uint32_t scope_user;
    uint32_t scope_group;
    uint32_t scope_instrument;
    uint32_t scope_underlying;
    uint16_t scope_venue;
    uint16_t scope_source;
    uint8_t  scope_type;
    uint8_t  scope_zero8;
    uint16_t scope_zero16;
    uint64_t request;
};

/* 320 */
struct lockstep_routed_order {
    uint64_t order_id;
    uint64_t risk_seq;
    uint64_t content_hash;
    int64_t  order_qty;
    int64_t  price_px;
    int64_t  stop_px;
    int64_t  display_qty;
    int64_t  min_qty;
    int64_t  expire_ts;
    uint32_t account;
    uint32_t instrument;
    uint32_t strategy;
    uint32_t exec_inst;
    uint16_t destination;
    uint8_t  side;
    uint8_t  ord_type;
    uint8_t  tif;
    uint8_t  position_effect;
    uint8_t  margin_mode;
    uint8_t  quantity_type;
    uint8_t  stp_mode;
    uint8_t  trigger;
    uint8_t  trigger_direction;
    uint8_t  trail_type;
    uint8_t  peg_type;
    int8_t   trail_offset_exp;
    int8_t   peg_offset_exp;
    int8_t   leverage_exp;
    int64_t  trail_offset;
    int64_t  peg_offset;
    int64_t  leverage;
};

/* 321 */
struct lockstep_routed_replace {
    uint64_t order_id;
    uint64_t risk_seq;
    uint64_t content_hash;
    uint64_t orig_request_seq;
    int64_t  order_qty;
    int64_t  price_px;
    int64_t  stop_px;
    int64_t  display_qty;
    int64_t  expire_ts;
    uint32_t account;
    uint32_t instrument;
    uint32_t version;
    uint16_t destination;
    uint8_t  replace_mode;
    uint8_t  side;
};

/* 322 */
struct lockstep_routed_cancel {
    uint64_t order_id;
    uint64_t orig_request_seq;
    uint32_t account;
    uint32_t instrument;
    uint32_t version;
    uint16_t destination;
    uint16_t reason;
};

/* 323 */
struct lockstep_routed_cancel_all {
    uint64_t scope_order_id;
    uint32_t scope_account;
    uint32_t scope_strategy;
    uint32_t scope_user;
    uint32_t scope_group;
    uint32_t scope_instrument;
    uint32_t scope_underlying;
    uint16_t scope_venue;
    uint16_t scope_source;
    uint8_t  scope_type;
    uint8_t  scope_zero8;
    uint16_t scope_zero16;
    uint64_t request;
    uint32_t account;
    uint16_t destination;
    uint16_t reason;
    uint8_t  side;
    uint8_t  zero0[7];
};

/* 324 */
struct lockstep_routed_quote {
    uint64_t quote_id;
    uint64_t risk_seq;
    uint64_t content_hash;
    int64_t  valid_until_ts;
    uint32_t account;
    uint16_t destination;
    uint16_t mmp_group;
    uint8_t  mmp_reset;
    uint8_t  zero0[7];
    struct lockstep_group entries;
};

/* 325 */
struct lockstep_routed_query {
    uint64_t order_id;
    uint64_t orig_request_seq;
    int64_t  from_ts;
    uint64_t request;
    uint32_t account;
    uint32_t instrument;
    uint16_t destination;
    uint8_t  query;
    uint8_t  zero0[5];
};

/* 326 */
struct lockstep_routed_dead_man {
    int64_t  timeout_ns;
    uint32_t account;
    uint16_t destination;
    uint8_t  action;
    uint8_t  zero0[1];
};

/* 327 */
struct lockstep_order_sent {
    uint64_t request_seq;
    uint64_t order_id;
    int64_t  handed_ts;
    uint32_t bytes;
    uint16_t stream;
    uint16_t connection_epoch;
};

/* 328 */
struct lockstep_send_refused {
    uint64_t request_seq;
    uint64_t order_id;
    uint16_t reason;
    uint8_t  zero0[6];
};

/* 330 */
struct lockstep_venue_order_update {
    lockstep_i128 cum_notional;
    uint64_t request_seq;
    uint64_t order_id;
    int64_t  order_qty;
    int64_t  price_px;
    int64_t  stop_px;
    int64_t  cum_qty;
    int64_t  leaves_qty;
    int64_t  exchange_ts;
    int64_t  sending_ts;
    uint64_t exchange_seq;
    uint32_t account;
    uint32_t instrument;
    uint32_t exec_inst;
    int32_t  venue_code;
    uint16_t reason;
    uint8_t  channel;
    uint8_t  exec_type;
    uint8_t  ord_status;
    uint8_t  side;
    uint8_t  ord_type;
    uint8_t  tif;
    struct lockstep_text venue_order_ref;
    struct lockstep_text client_ref;
    struct lockstep_text text;
};

/* 331 */
struct lockstep_venue_fill {
    uint64_t request_seq;
    uint64_t order_id;
    int64_t  last_qty;
    int64_t  last_px;
    int64_t  quote_amt;
    int64_t  fee;
    int64_t  realized;
    int64_t  exchange_ts;
    uint64_t exchange_seq;
    uint64_t trade_no;
    uint32_t account;
    uint32_t instrument;
    uint32_t fee_currency;
    uint8_t  channel;
    uint8_t  side;
    uint8_t  liquidity;
    uint8_t  fee_type;
    uint8_t  position_effect;
    int8_t   quote_amt_exp;
    int8_t   fee_exp;
    int8_t   realized_exp;
    uint8_t  zero0[4];
    struct lockstep_text venue_trade_ref;
    struct lockstep_text venue_order_ref;
    struct lockstep_text client_ref;
};

/* 332 */
struct lockstep_venue_cancel_reject {
    uint64_t request_seq;
    uint64_t order_id;
    int32_t  venue_code;
    uint16_t reason;
    uint8_t  response_to;
    uint8_t  ord_status;
    struct lockstep_text text;
};

/* 333 */
struct lockstep_venue_trade_correction {
    uint64_t request_seq;
    uint64_t order_id;
    int64_t  last_qty;
    int64_t  last_px;
    int64_t  fee;
    int64_t  exchange_ts;
    uint64_t exchange_seq;
    uint64_t trade_no;
    uint32_t account;
    uint32_t instrument;
    uint32_t fee_currency;
    uint16_t reason;
    uint8_t  channel;
    uint8_t  action;
    int8_t   fee_exp;
    uint8_t  zero0[7];
    struct lockstep_text venue_trade_ref;
    struct lockstep_text venue_order_ref;
    struct lockstep_text client_ref;
};

/* 334 */
struct lockstep_venue_mass_cancel_report {
    uint64_t scope_order_id;
    uint32_t scope_account;
    uint32_t scope_strategy;
    uint32_t scope_user;
    uint32_t scope_group;
    uint32_t scope_instrument;
    uint32_t scope_underlying;
    uint16_t scope_venue;
    uint16_t scope_source;
    uint8_t  scope_type;
    uint8_t  scope_zero8;
    uint16_t scope_zero16;
    uint64_t request_seq;
    uint32_t account;
    uint32_t affected;
    uint16_t reason;
    uint8_t  zero0[6];
};

/* 335 */
struct lockstep_venue_quote_update {
    uint64_t request_seq;
    uint64_t quote_id;
    uint32_t entry;
    uint32_t account;
    uint32_t instrument;
    uint16_t set;
    uint16_t reason;
    uint8_t  quote_status;
    uint8_t  zero0[7];
    struct lockstep_text bid_order_ref;
    struct lockstep_text ask_order_ref;
};

/* 336 */
struct lockstep_venue_mmp_state {
    int64_t  frozen_until_ts;
    uint32_t account;
    uint16_t mmp_group;
    uint8_t  state;
    uint8_t  zero0[1];
};

/* 350 */
struct lockstep_execution_report {
    lockstep_i128 cum_notional;
    uint64_t order_id;
    uint64_t parent_order_id;
    int64_t  order_qty;
    int64_t  price_px;
    int64_t  stop_px;
    int64_t  last_qty;
    int64_t  last_px;
    int64_t  cum_qty;
    int64_t  leaves_qty;
    int64_t  cxl_qty;
    int64_t  fee;
    uint64_t exec_ref_seq;
    uint64_t venue_frame_seq;
    int64_t  exchange_ts;
    uint32_t account;
    uint32_t strategy;
    uint32_t user;
    uint32_t instrument;
    uint32_t exec_inst;
    uint32_t version;
    uint32_t fee_currency;
    uint16_t reason;
    uint16_t report_flags;
    uint8_t  exec_type;
    uint8_t  ord_status;
    uint8_t  side;
    uint8_t  ord_type;
    uint8_t  tif;
    uint8_t  liquidity;
    int8_t   fee_exp;
    uint8_t  zero0[1];
    struct lockstep_text venue_order_ref;
    struct lockstep_text venue_trade_ref;
    struct lockstep_text text;
};

/* 351 */
struct lockstep_order_cancel_reject {
    uint64_t order_id;
    uint32_t version;
    uint16_t reason;
    uint8_t  response_to;
    uint8_t  ord_status;
    struct lockstep_text text;
};

/* 352 */
struct lockstep_cancel_all_report {
    uint64_t scope_order_id;
    uint32_t scope_account;
    uint32_t scope_strategy;
    uint32_t scope_user;
    uint32_t scope_group;
    uint32_t scope_instrument;
    uint32_t scope_underlying;
    uint16_t scope_venue;
    uint16_t scope_source;
    uint8_t  scope_type;
    uint8_t  scope_zero8;
    uint16_t scope_zero16;
    uint64_t request;
    uint64_t request_seq;
    uint32_t matched;
    uint32_t canceled;
    uint32_t rejected;
    uint32_t pending;
    uint16_t reason;
    uint8_t  final;
    uint8_t  zero0[5];
};

/* 353 */
struct lockstep_quote_status_report {
    uint64_t quote_id;
    uint64_t bid_order_id;
    uint64_t ask_order_id;
    uint32_t entry;
    uint32_t account;
    uint32_t instrument;
    uint16_t reason;
    uint8_t  quote_status;
    uint8_t  zero0[1];
};

/* 354 */
struct lockstep_list_status {
    uint64_t list_id;
    uint16_t reason;
    uint8_t  list_status;
    uint8_t  zero0[5];
    struct lockstep_group members;
};

/* 355 */
struct lockstep_routing_decision {
    uint64_t order_id;
    uint16_t venue;
    uint16_t destination;
    uint16_t rule;
    uint8_t  zero0[2];
    struct lockstep_group candidates;
};

/* 360 */
struct lockstep_reconcile_started {
    uint64_t run;
    int64_t  lookback_from_ts;
    uint32_t account;
    uint16_t venue;
    uint8_t  trigger;
    uint8_t  zero0[1];
};

/* 361 */
struct lockstep_reconcile_difference {
    lockstep_i128 ours;
    lockstep_i128 theirs;
    lockstep_i128 tolerance;
    uint64_t run;
    uint64_t order_id;
    uint64_t venue_frame_seq;
    uint32_t account;
    uint32_t instrument;
    uint32_t currency;
    uint8_t  difference;
    int8_t   exp;
    uint8_t  zero0[2];
    struct lockstep_text venue_order_ref;
    struct lockstep_text venue_trade_ref;
};

/* 362 */
struct lockstep_reconcile_correction {
    uint64_t run;
    uint64_t difference_seq;
    uint64_t approval_seq;
    uint32_t user;
    uint16_t reason;
    uint8_t  action;
    uint8_t  zero0[1];
    struct lockstep_text text;
};

/* 363 */
struct lockstep_reconcile_finished {
    uint64_t run;
    uint32_t account;
    uint32_t differences;
    uint32_t open;
    uint16_t venue;
    uint8_t  result;
    uint8_t  zero0[1];
};

/* 370 */
struct lockstep_dont_know_trade {
    uint64_t venue_frame_seq;
    int64_t  last_qty;
    int64_t  last_px;
    uint32_t account;
    uint32_t instrument;
    uint8_t  dk_reason;
    uint8_t  zero0[7];
    struct lockstep_text venue_trade_ref;
};

/* 400 */
struct lockstep_risk_limit_set {
    uint64_t scope_order_id;
    uint32_t scope_account;
    uint32_t scope_strategy;
    uint32_t scope_user;
    uint32_t scope_group;
    uint32_t scope_instrument;
    uint32_t scope_underlying;
    uint16_t scope_venue;
    uint16_t scope_source;
    uint8_t  scope_type;
    uint8_t  scope_zero8;
    uint16_t scope_zero16;
    int64_t  period_ns;
    int64_t  warn;
    int64_t  hard;
    uint64_t approval_seq;
    int64_t  valid_until_ts;
    uint32_t limit;
    uint32_t currency;
    uint32_t generation;
    uint16_t check;
    uint8_t  side;
    int8_t   exp;
    uint8_t  action;
    uint8_t  confirmations;
    uint16_t zero16;
    uint32_t ban_ms;
    struct lockstep_text reason;
};

/* 401 */
struct lockstep_risk_decision {
    lockstep_i128 reserved_notional;
    uint64_t order_id;
    uint64_t request_seq;
    uint64_t content_hash;
    int64_t  reserved_qty;
    int64_t  valid_until_ts;
    uint32_t rules_generation;
    uint16_t request_kind;
    uint16_t reason;
    uint8_t  decision;
    uint8_t  zero0[7];
    struct lockstep_group checks;
};

/* 402 */
struct lockstep_violation {
    uint64_t scope_order_id;
    uint32_t scope_account;
    uint32_t scope_strategy;
    uint32_t scope_user;
    uint32_t scope_group;
    uint32_t scope_instrument;
    uint32_t scope_underlying;
    uint16_t scope_venue;
    uint16_t scope_source;
    uint8_t  scope_type;
    uint8_t  scope_zero8;
    uint16_t scope_zero16;
    int64_t  value;
    int64_t  bound;
    int64_t  until_ts;
    uint64_t about_seq;
    uint32_t limit;
    uint32_t count;
    uint16_t check;
    uint16_t reason;
    uint8_t  severity;
    int8_t   exp;
    uint8_t  action;
    uint8_t  zero0[1];
    struct lockstep_text text;
};

/* 403 */
struct lockstep_kill_switch {
    uint64_t scope_order_id;
    uint32_t scope_account;
    uint32_t scope_strategy;
    uint32_t scope_user;
    uint32_t scope_group;
    uint32_t scope_instrument;
    uint32_t scope_underlying;
    uint16_t scope_venue;
    uint16_t scope_source;
    uint8_t  scope_type;
    uint8_t  scope_zero8;
    uint16_t scope_zero16;
    uint64_t kill;
    uint8_t  level;
    uint8_t  trigger;
    uint8_t  zero0[6];
    struct lockstep_text reason;
};

/* 404 */
struct lockstep_kill_release {
    uint64_t kill;
    uint64_t approval_seq;
    struct lockstep_text reason;
};

/* 405 */
struct lockstep_trading_state_set {
    uint64_t scope_order_id;
    uint32_t scope_account;
    uint32_t scope_strategy;
    uint32_t scope_user;
    uint32_t scope_group;
    uint32_t scope_instrument;
    uint32_t scope_underlying;
    uint16_t scope_venue;
    uint16_t scope_source;
    uint8_t  scope_type;
    uint8_t  scope_zero8;
    uint16_t scope_zero16;
    uint64_t request;
    uint16_t reason;
    uint8_t  state;
    uint8_t  zero0[5];
    struct lockstep_text text;
};

/* 406 */
struct lockstep_gate {
    uint64_t venue_frame_seq;
    uint32_t account;
    uint32_t instrument;
    uint32_t causes;
    uint16_t venue;
    uint8_t  state;
    uint8_t  zero0[1];
};

/* 407 */
struct lockstep_heartbeat {
    uint64_t counter;
    int64_t  interval_ns;
    uint32_t user;
    uint16_t watch;
    uint8_t  zero0[2];
};

/* 408 */
struct lockstep_heartbeat_lost {
    uint64_t last_seq;
    uint16_t watch;
    uint16_t missed;
    uint8_t  action;
    uint8_t  zero0[3];
};

/* 409 */
struct lockstep_exposure {
    uint64_t scope_order_id;
    uint32_t scope_account;
    uint32_t scope_strategy;
    uint32_t scope_user;
    uint32_t scope_group;
    uint32_t scope_instrument;
    uint32_t scope_underlying;
    uint16_t scope_venue;
    uint16_t scope_source;
    uint8_t  scope_type;
    uint8_t  scope_zero8;
    uint16_t scope_zero16;
    lockstep_i128 gross_notional;
    lockstep_i128 net_notional;
    lockstep_i128 reserved_notional;
    int64_t  working_buy_qty;
    int64_t  working_sell_qty;
    int64_t  unknown_qty;
    uint32_t currency;
    uint32_t orders;
};

/* 410 */
struct lockstep_limit_acknowledged {
    int64_t  old_warn;
    int64_t  old_hard;
    int64_t  warn;
    int64_t  hard;
    int64_t  current;
    uint64_t request_seq;
    uint32_t limit;
    uint32_t generation;
    uint32_t user;
    uint16_t check;
    uint16_t reason;
    int8_t   exp;
    uint8_t  zero0[7];
};

/* 500 */
struct lockstep_position {
    lockstep_i128 cost;
    lockstep_i128 realized;
    lockstep_i128 fees;
    lockstep_i128 funding;
    int64_t  long_qty;
    int64_t  short_qty;
    uint64_t last_fill_seq;
    uint32_t account;
    uint32_t strategy;
    uint32_t instrument;
    uint32_t currency;
    uint8_t  margin_mode;
    uint8_t  position_side;
    uint8_t  zero0[6];
};

/* 501 */
struct lockstep_position_confirmed {
    int64_t  long_qty;
    int64_t  short_qty;
    int64_t  entry_px;
    int64_t  liquidation_px;
    int64_t  unrealized;
    int64_t  exchange_ts;
    uint64_t exchange_seq;
    uint32_t account;
    uint32_t instrument;
    uint32_t currency;
    uint8_t  margin_mode;
    uint8_t  position_side;
    int8_t   unrealized_exp;
    uint8_t  zero0[1];
};

/* 502 */
struct lockstep_funds_confirmed {
    int64_t  balance;
    int64_t  hold;
    int64_t  borrowed;
    int64_t  unrealized;
    int64_t  exchange_ts;
    uint64_t exchange_seq;
    uint32_t account;
    uint32_t currency;
    uint8_t  margin_mode;
    int8_t   exp;
    uint8_t  zero0[6];
};

/* 504 */
struct lockstep_margin_confirmed {
    int64_t  equity;
    int64_t  initial;
    int64_t  maintenance;
    int64_t  ratio;
    int64_t  leverage;
    int64_t  exchange_ts;
    uint64_t exchange_seq;
    uint32_t account;
    uint32_t currency;
    int8_t   exp;
    int8_t   leverage_exp;
    uint8_t  zero0[6];
};

/* 520 */
struct lockstep_mark {
    int64_t  mark_px;
    uint64_t source_seq_ref;
    int64_t  exchange_ts;
    uint32_t instrument;
    uint8_t  mark_type;
    uint8_t  zero0[3];
};

/* 521 */
struct lockstep_conversion_rate {
    int64_t  rate;
    uint64_t source_seq_ref;
    uint32_t from_currency;
    uint32_t to_currency;
    int8_t   rate_exp;
    uint8_t  zero0[7];
};

/* 522 */
struct lockstep_funding {
    int64_t  rate;
    int64_t  position_qty;
    int64_t  payment;
    int64_t  funding_ts;
    uint64_t exchange_seq;
    uint32_t account;
    uint32_t instrument;
    uint32_t currency;
    uint8_t  channel;
    int8_t   payment_exp;
    uint8_t  zero0[2];
    struct lockstep_text venue_ref;
};

/* 600 */
struct lockstep_strategy_command {
    uint64_t request;
    uint32_t strategy;
    uint16_t reason;
    uint8_t  command;
    uint8_t  zero0[1];
};

/* 601 */
struct lockstep_strategy_state {
    uint64_t request;
    uint32_t strategy;
    uint16_t reason;
    uint8_t  state;
    uint8_t  zero0[1];
};

/* 609 */
struct lockstep_emulated_trigger {
    uint64_t order_id;
    int64_t  observed_px;
    int64_t  trigger_px;
    uint64_t input_seq;
    uint8_t  trigger;
    uint8_t  zero0[7];
};

/* 700 */
struct lockstep_gateway_status {
    uint64_t supported;
    uint64_t available;
    uint64_t unavailable;
    uint32_t account;
    uint16_t gateway;
    uint16_t venue;
    uint8_t  phase;
    uint8_t  zero0[7];
};

/* 701 */
struct lockstep_stream_status {
    uint32_t account;
    uint16_t stream;
    uint16_t venue;
    uint16_t connection_epoch;
    uint16_t reason;
    uint8_t  connection;
    uint8_t  transport;
    uint8_t  protocol;
    uint8_t  encoding;
    uint8_t  priority;
    uint8_t  zero0[7];
    struct lockstep_text interface;
    struct lockstep_text authority;
    struct lockstep_text path;
};

/* 703 */
struct lockstep_download_begin {
    uint32_t account;
    uint32_t download;
    uint32_t contents;
    uint16_t gateway;
    uint8_t  zero0[2];
};

/* 704 */
struct lockstep_download_end {
    uint32_t account;
    uint32_t download;
    uint32_t rows;
    uint16_t gateway;
    uint8_t  complete;
    uint8_t  zero0[1];
};

/* 705 */
struct lockstep_rate_limit_usage {
    uint32_t account;
    uint16_t venue;
    uint16_t stream;
    struct lockstep_group limits;
};

/* 706 */
struct lockstep_venue_status {
    int64_t  until_ts;
    uint16_t venue;
    uint8_t  status;
    uint8_t  zero0[5];
    struct lockstep_text text;
};

/* 707 */
struct lockstep_venue_error {
    uint64_t raw_seq;
    int32_t  venue_code;
    uint32_t count;
    uint16_t venue;
    uint16_t stream;
    uint8_t  error;
    uint8_t  zero0[3];
    struct lockstep_text text;
};

/* 710 */
struct lockstep_venue_dead_man {
    int64_t  fires_ts;
    uint32_t account;
    uint32_t instrument;
    uint16_t venue;
    uint8_t  state;
    uint8_t  confirmed;
    uint8_t  zero0[4];
};

/* 800 */
struct lockstep_operator_command {
    uint64_t request;
    uint64_t target;
    uint32_t user;
    uint32_t session;
    uint16_t command;
    uint8_t  target_type;
    uint8_t  needs_approval;
    uint8_t  zero0[4];
    struct lockstep_text reason;
    struct lockstep_text arguments;
};

/* 801 */
struct lockstep_command_result {
    uint64_t request;
    uint16_t reason;
    uint8_t  status;
    uint8_t  zero0[5];
    struct lockstep_text text;
};

/* 802 */
struct lockstep_approval {
    uint64_t request_seq;
    uint32_t user;
    uint32_t session;
    uint8_t  decision;
    uint8_t  zero0[7];
    struct lockstep_text reason;
};

/* 804 */
struct lockstep_alert {
    uint64_t scope_order_id;
    uint32_t scope_account;
    uint32_t scope_strategy;
    uint32_t scope_user;
    uint32_t scope_group;
    uint32_t scope_instrument;
    uint32_t scope_underlying;
    uint16_t scope_venue;
    uint16_t scope_source;
    uint8_t  scope_type;
    uint8_t  scope_zero8;
    uint16_t scope_zero16;
    uint64_t alert;
    uint64_t about_seq;
    uint16_t rule;
    uint8_t  severity;
    uint8_t  state;
    uint8_t  zero0[4];
    struct lockstep_text text;
};

/* 806 */
struct lockstep_log_record {
    uint64_t about_seq;
    uint16_t facility;
    uint8_t  severity;
    uint8_t  zero0[5];
    struct lockstep_text text;
};

/* 900 */
struct lockstep_simulation_settings {
    uint64_t seed;
    int64_t  feed_latency_ns;
    int64_t  order_latency_ns;
    uint64_t latency_source_seq;
    uint16_t venue;
    uint16_t fill_model;
    uint16_t queue_model;
    uint8_t  fee_source;
    uint8_t  zero0[1];
    struct lockstep_group settings;
};

/* 901 */
struct lockstep_import_provenance {
    uint64_t rows;
    uint64_t skipped;
    int64_t  first_ts;
    int64_t  last_ts;
    uint32_t import_no;
    uint16_t vendor;
    uint16_t format;
    uint8_t  time_basis;
    uint8_t  zero0[7];
    uint8_t  file_digest[32];
    struct lockstep_text name;
};

/* 905 */
struct lockstep_fault_injected {
    uint64_t order_id;
    int64_t  detail;
    uint16_t fault;
    uint16_t target;
    uint8_t  zero0[4];
    struct lockstep_text text;
};

/* 906 */
struct lockstep_fill_decision {
    uint64_t order_id;
    int64_t  queue_ahead_qty;
    uint64_t draw;
    uint64_t input_seq;
    uint16_t model;
    uint16_t reason;
    uint8_t  zero0[4];
};
