/* What a disk may hold after power is lost: any dirty unit at any state it had since the last completed sync that covers it,
 * file names and the control page's words each at theirs. Nothing else is assumed of the order in which things reach it. */
#include <stdlib.h>
#include <string.h>

#include "lockstep/torture/images.h"

enum { PIECES_MAX = 16384, UNITS_MAX = 4096, UNIT_MIN = 64, PAGE = LOCKSTEP_BLOCK_BYTES };

/* A store, cut at unit boundaries; of one unit they stand in a row, in order. */
struct piece { uint32_t at, bytes, data, next; };
struct unit { uint32_t file, at, count, cut, first, last; };

static uint8_t synced[FILES_MAX][SEGMENT_BYTES]; /* surely on disk */
static uint8_t pending[EVENTS_MAX];              /* of a store: bit n: its part in the nth page it touches is not surely on disk */
static uint32_t pending_from;                    /* no pending store before it */
static uint32_t named, sure_named;               /* files 1 … have their name, and surely so */
static uint64_t durable_seq, points;
static uint32_t segment;
static struct piece pieces[PIECES_MAX];
static struct unit units[UNITS_MAX];
static uint32_t pieces_count, units_count, unit_bytes;
static struct image image;

uint64_t disk_points(void) { return points; }

/* A completed sync, of whole pages: the stores before it that they hold are on disk. */
static void apply_sync(const struct event *e)
{
    for (uint32_t i = pending_from; i < e->covers; i++) {
        const struct event *s = &trace.events[i];
        if (s->what != STORED || !pending[i] || s->file != e->file)
            continue;
        uint32_t end = s->at + s->bytes, first = s->at / PAGE;
        for (uint32_t page = first; page * PAGE < end; page++) {
            if (page * PAGE < e->at || page * PAGE >= e->at + e->bytes || !(pending[i] >> (page - first) & 1))
                continue;
            uint32_t low = page == first ? s->at : page * PAGE, high = end < (page + 1) * PAGE ? end : (page + 1) * PAGE;
            memcpy(synced[s->file] + low, trace.pool + s->data + (low - s->at), high - low);
            pending[i] &= (uint8_t)~(1u << (page - first));
        }
    }
    while (pending_from < trace.count && !pending[pending_from])
        pending_from++;
}

static void apply(uint32_t i)
{
    const struct event *e = &trace.events[i];
    switch (e->what) {
    case STORED:
        pending[i] = (uint8_t)((1u << ((e->at + e->bytes - 1) / PAGE - e->at / PAGE + 1)) - 1);
        if (i < pending_from)
            pending_from = i;
        break;
    case SYNCED: apply_sync(e); break;
    case NAMED: named = e->file; break;
    case FOLDER_SYNCED: sure_named = named; break;
    case CREATED:
    case ALLOCATED: break; /* not under its name yet: size and blocks are synced before it gets one */
    }
}

/* The dirty units at point `upto`, of unit_bytes each. */
static void find_units(uint32_t upto)
{
    static uint16_t at_unit[FILES_MAX][SEGMENT_BYTES / UNIT_MIN]; /* number + 1; zero again when this returns */
    units_count = pieces_count = 0;
    for (uint32_t i = pending_from; i < upto; i++) {
        const struct event *s = &trace.events[i];
        if (s->what != STORED || !pending[i] || s->file > named)
            continue;
        uint32_t at = s->at, left = s->bytes, data = s->data;
        while (left > 0) {
            uint32_t n = unit_bytes - at % unit_bytes;
            n = n < left ? n : left;
            uint16_t *known = &at_unit[s->file][at / unit_bytes];
            if (!(pending[i] >> (at / PAGE - s->at / PAGE) & 1)) {
                at += n, data += n, left -= n;
                continue;
            }
            if (pieces_count == PIECES_MAX || units_count == UNITS_MAX) {
                fprintf(stderr, "images: the driver itself is wrong: too many dirty units\n");
                exit(2);
            }
            if (*known == 0) {
                units[units_count] = (struct unit){.file = s->file, .at = at / unit_bytes * unit_bytes, .first = pieces_count};
                *known = (uint16_t)++units_count;
            }
            struct unit *u = &units[*known - 1];
            pieces[pieces_count] = (struct piece){at, n, data, 0};
            if (u->count++ > 0)
                pieces[u->last].next = pieces_count;
            u->last = pieces_count++;
            at += n, data += n, left -= n;
        }
    }
    for (uint32_t i = 0; i < units_count; i++)
        at_unit[units[i].file][units[i].at / unit_bytes] = 0;
}

static void set_cut(struct unit *u, uint32_t cut)
{
    if (u->cut == cut)
        return;
    u->cut = cut;
    memcpy(image.base[u->file] + u->at, synced[u->file] + u->at, unit_bytes);
    for (uint32_t p = u->first, n = 0; n < cut; n++, p = pieces[p].next)
        memcpy(image.base[u->file] + pieces[p].at, trace.pool + pieces[p].data, pieces[p].bytes);
}

static void set_words(enum strategy strategy)
{
    uint32_t how = strategy == ALL_OLD ? 0 : strategy == ALL_NEW ? 1 : below(4);
    image.control_durable_seq = how == 0 ? 0 : how == 1 ? durable_seq : below((uint32_t)durable_seq + 1);
    how = strategy == ALL_OLD ? 0 : strategy == ALL_NEW ? 1 : below(4);
    image.control_segment = how == 0 ? 0 : how == 1 ? segment : below(segment + 1);
    bool shown = strategy == ALL_OLD ? false : strategy == ALL_NEW ? true : below(2);
    image.segments = shown ? named : sure_named;
}

/* Every combination of cuts, as an odometer; or random ones where there are too many. */
static bool combinations(const struct options *o, uint32_t point, judge_image *judge)
{
    uint64_t product = 1;
    for (uint32_t i = 0; i < units_count && product <= o->exhaustive_max; i++)
        product *= units[i].count + 1;
    if (product > o->exhaustive_max) {
        for (uint32_t n = 0; n < o->randoms; n++) {
            for (uint32_t i = 0; i < units_count; i++) {
                uint32_t how = below(3);
                set_cut(&units[i], how == 0 ? 0 : how == 1 ? units[i].count : below(units[i].count + 1));
            }
            set_words(RANDOM);
            if (!judge(&image, point, unit_bytes, RANDOM))
                return false;
        }
        return true;
    }
    for (uint32_t i = 0; i < units_count; i++)
        set_cut(&units[i], 0);
    for (uint64_t n = 0; n < product; n++) {
        set_words(EXHAUSTIVE);
        if (!judge(&image, point, unit_bytes, EXHAUSTIVE))
            return false;
        uint32_t i = 0;
        while (i < units_count && units[i].cut == units[i].count)
            set_cut(&units[i++], 0);
        if (i < units_count)
            set_cut(&units[i], units[i].cut + 1);
    }
    return true;
}

static bool strategies(const struct options *o, uint32_t point, judge_image *judge)
{
    for (enum strategy s = ALL_OLD; s <= ALL_NEW; s++) {
        for (uint32_t i = 0; i < units_count; i++)
            set_cut(&units[i], s == ALL_OLD ? 0 : units[i].count);
        set_words(s);
        if (!judge(&image, point, unit_bytes, s))
            return false;
    }
    for (uint32_t i = 0; i < units_count; i++) { /* all are new here */
        set_cut(&units[i], below(units[i].count));
        set_words(DROP_ONE);
        if (!judge(&image, point, unit_bytes, DROP_ONE))
            return false;
        set_cut(&units[i], units[i].count);
    }
    for (uint32_t i = 0; i < units_count; i++)
        set_cut(&units[i], 0);
    for (uint32_t i = 0; i < units_count; i++) {
        set_cut(&units[i], 1 + below(units[i].count));
        set_words(KEEP_ONE);
        if (!judge(&image, point, unit_bytes, KEEP_ONE))
            return false;
        set_cut(&units[i], 0);
    }
    return combinations(o, point, judge);
}

bool disk_images(const struct options *o, judge_image *judge)
{
    memset(synced, 0, sizeof synced);
    memset(pending, 0, sizeof pending);
    pending_from = named = sure_named = 0;
    for (uint32_t point = 0; point <= trace.count; point++) {
        /* The events before `point` have happened; the words are those that event `point` found. */
        const struct event *e = &trace.events[point < trace.count ? point : trace.count - 1];
        durable_seq = e->durable_seq;
        segment = e->segment;
        if (point == trace.count || e->what != STORED || below(o->points_in) == 0) {
            static const uint32_t sizes[] = {512, 64, 4096};
            points++;
            for (uint32_t n = 0; n < 3; n++) {
                unit_bytes = sizes[n];
                find_units(point);
                for (uint32_t f = 1; f <= named; f++)
                    memcpy(image.base[f], synced[f], SEGMENT_BYTES);
                if (!strategies(o, point, judge))
                    return false;
            }
        }
        if (point < trace.count)
            apply(point);
    }
    return true;
}
