/* admission: is this body what its kind says? Wire rules only: lengths, offsets, padding; never a value's meaning.
 * The table is derived from the message declarations (sequencer/rules.py). */

/* One descriptor of a variable part, in declared order. */
struct lockstep_wire_item {
    uint16_t offset; /* of the descriptor in the fixed part */
    uint16_t stride; /* of a group's rows; 1 for text and blob */
    uint8_t  type;   /* 1 text, 2 blob, 3 group */
    uint8_t  tail;   /* 1: rows with text of their own, whose bytes follow the table */
};

struct lockstep_wire_hole { uint16_t offset, bytes; };

/* What one kind looks like. known = 0: no such kind. */
struct lockstep_wire_rule {
    uint32_t fixed_bytes;
    uint16_t version;
    uint8_t  known;
    uint8_t  items;
    uint8_t  holes;
    uint8_t  awaited; /* 1: somebody acts outside as soon as it is on disk; it is synced at once */
    uint8_t  zero[6];
    struct lockstep_wire_item item[12];
    struct lockstep_wire_hole hole[8]; /* padding inside the fixed part: zero */
};

/* lockstep_check_body: 0, or the Reason why not (MALFORMED, BAD_LENGTH, NON_CANONICAL). body is private memory. */
uint16_t lockstep_check_body(const struct lockstep_wire_rule *rule, const uint8_t *body, uint64_t body_bytes);
