/* Recovers an image with the production decision and says whether that is right, by rules that know nothing of crcs: what is
 * left must be the frames that were appended, byte for byte, as far as they stand in the image without a gap. */
#include <stdarg.h>
#include <string.h>

#include "lockstep/torture/images.h"

char check_failure[512];
uint64_t check_torn, check_interrupted, check_second_lives, check_passed;

static uint8_t saved[SEGMENT_BYTES]; /* the tail that a recovery zeroes: its copy in quarantine */

static bool wrong(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(check_failure, sizeof check_failure, format, arguments);
    va_end(arguments);
    return false;
}

/* Where the appended frames end in this image. */
struct end { uint64_t last_seq; uint32_t segment, offset; };

static struct end intact(const struct image *image)
{
    struct end end = {0};
    uint64_t seq = 1;
    for (uint32_t f = 1; f <= image->segments; f++) {
        const uint8_t *is = image->base[f], *was = trace.final[f];
        const struct lockstep_open_record none = {0};
        if (memcmp(is + LOCKSTEP_OPEN_AT, was + LOCKSTEP_OPEN_AT, sizeof none) != 0 ||
            memcmp(is + LOCKSTEP_OPEN_AT, &none, sizeof none) == 0)
            return end;
        end.segment = f;
        end.offset = FRAMES_AT;
        for (; seq <= trace.last_seq && trace.frames[seq].file == f; seq++) {
            const struct truth_frame *frame = &trace.frames[seq];
            if (memcmp(is + frame->at, was + frame->at, frame->bytes) != 0)
                return end;
            end.last_seq = seq;
            end.offset = frame->at + frame->bytes;
        }
        if (trace.end_at[f] == 0 || memcmp(is + trace.end_at[f], was + trace.end_at[f], LOCKSTEP_END_BYTES) != 0)
            return end;
    }
    return end;
}

static bool pass(const struct image *image, struct lockstep_recovery *found, uint32_t f)
{
    const struct lockstep_index_head *index = &trace.index[f].head;
    struct lockstep_claim claim = {
        .header = image->base[f], .next = image->base[f + 1], .index = (const uint8_t *)index,
        .end = image->base[f] + index->last_offset, .bytes = SEGMENT_BYTES,
        .end_bytes = index->end_offset + LOCKSTEP_END_BYTES - index->last_offset,
    };
    bool passed = lockstep_recovery_pass(found, &claim) != 0;
    check_passed += passed;
    return passed;
}

void check_decide(const struct image *image, struct lockstep_recovery *found, uint64_t *used, uint32_t *actions, uint32_t indices)
{
    memset(found, 0, sizeof *found);
    found->stream_id = images_stream;
    found->has_control = 1;
    found->control_durable_seq = image->control_durable_seq;
    found->control_segment = image->control_segment;
    found->segment_bytes = SEGMENT_BYTES;
    found->schema = (const uint8_t *)images_schema;
    found->schema_bytes = (uint32_t)strlen(images_schema);
    for (uint32_t f = 1; f <= image->segments && indices != 0; f++)
        lockstep_recovery_hear(found, image->base[f]);
    for (uint32_t f = 1; f <= image->segments; f++) {
        used[f] = 0;
        actions[f] = LOCKSTEP_ACTION_STAYS;
        if (f == image->segments || (indices >> f & 1) == 0 || trace.end_at[f] == 0 || !pass(image, found, f))
            actions[f] = lockstep_recovery_look(found, image->base[f], SEGMENT_BYTES, NULL, &used[f]);
    }
    lockstep_recovery_decide(found);
}

static bool same_end(const struct lockstep_recovery *a, const struct lockstep_recovery *b)
{
    return a->last_seq == b->last_seq && a->last_ts == b->last_ts && a->last_crc == b->last_crc && a->segment == b->segment &&
           a->offset == b->offset;
}

/* With indices of some or all of the segments it must decide the same: those of what was stored, whatever of it is on this disk. */
static bool same_by_index(const struct image *image, const struct lockstep_recovery *found)
{
    static struct lockstep_recovery by_index;
    uint64_t used[FILES_MAX];
    uint32_t actions[FILES_MAX];
    check_decide(image, &by_index, used, actions, below(2) == 0 ? UINT32_MAX : (uint32_t)random64() | 1);
    if (same_end(found, &by_index) && by_index.verdict == found->verdict && by_index.cut_to == found->cut_to &&
        by_index.prepared == found->prepared && by_index.epoch == found->epoch)
        return true;
    return wrong("by the indices recovered up to seq %llu, verdict %u, to be cut to byte %llu; without them %llu, %u, %llu",
                 (unsigned long long)by_index.last_seq, by_index.verdict, (unsigned long long)by_index.cut_to,
                 (unsigned long long)found->last_seq, found->verdict, (unsigned long long)found->cut_to);
}

/* The steps of journal/recovery.py on the image: first the words, then segments from the last one backwards, then the first
 * word of the tail, then the rest of it. */
static uint32_t steps_of(const struct image *image, const struct lockstep_recovery *found, const uint32_t *actions)
{
    uint32_t steps = 1;
    for (uint32_t f = found->segment + 1; f <= image->segments; f++)
        steps += actions[f] != LOCKSTEP_ACTION_REUSE;
    return steps + 2;
}

/* The first `steps` of them; of a tail that is being zeroed when the power goes each unit is, or is not. */
static void carry_out(struct image *image, const struct lockstep_recovery *found, const uint32_t *actions, uint32_t steps,
                      bool part, uint32_t unit)
{
    if (steps == 0)
        return;
    if (image->control_segment > found->segment)
        image->control_segment = found->segment;
    uint32_t done = 1;
    for (uint32_t f = image->segments; f > found->segment; f--)
        if (actions[f] != LOCKSTEP_ACTION_REUSE) {
            if (done++ == steps)
                return;
            image->segments = f - 1;
        }
    if (done++ == steps || found->cut_to == found->offset)
        return;
    memset(image->base[found->segment] + found->offset, 0, found->cut_to - found->offset < 8 ? found->cut_to - found->offset : 8);
    if (done == steps && !part)
        return;
    for (uint64_t at = found->offset; at < found->cut_to;) {
        uint64_t to = (at / unit + 1) * unit;
        to = to < found->cut_to ? to : found->cut_to;
        if (!part || below(2) == 0)
            memset(image->base[found->segment] + at, 0, to - at);
        at = to;
    }
}

static bool check_second_life(struct image *image, const struct lockstep_recovery *before, uint32_t unit)
{
    static struct second_life life;
    static struct lockstep_recovery found;
    uint64_t used[FILES_MAX];
    uint32_t actions[FILES_MAX];
    second_life_run(image, before, 1 + below(below(8) == 0 ? 80 : 6), &life); /* some fill the segment that was cut, and go on */
    check_decide(image, &found, used, actions, 0);
    check_second_lives++;
    bool good = true;
    if (found.verdict != LOCKSTEP_VERDICT_CLEAN || found.last_seq != life.last_seq)
        good = wrong("frames up to %llu were appended behind the recovered %llu; recovered again: verdict %u, seq %llu",
                     (unsigned long long)life.last_seq, (unsigned long long)before->last_seq, found.verdict,
                     (unsigned long long)found.last_seq);
    /* All of it on disk, and the indices of the first life still there. */
    const uint64_t durable_seq = image->control_durable_seq;
    image->control_durable_seq = life.last_seq;
    good = good && same_by_index(image, &found);
    image->control_durable_seq = durable_seq;
    /* And once more without power: recovery has synced what it left, so the first life cannot lose a frame any more. */
    static uint32_t cuts[FILES_MAX * (SEGMENT_BYTES / 64)];
    for (uint32_t i = 0; i < FILES_MAX * SEGMENT_BYTES / unit; i++)
        cuts[i] = below(2) == 0 ? UINT32_MAX : below(life.count + 1);
    for (uint32_t i = life.count; i-- > 0;) { /* from the last one back: the older bytes come to stand */
        const struct event *e = &life.events[i];
        for (uint32_t n = 0; n < e->bytes; n++)
            if (i >= cuts[(e->file * SEGMENT_BYTES + e->at + n) / unit])
                image->base[e->file][e->at + n] = life.old[e->data + n];
    }
    check_decide(image, &found, used, actions, 0);
    if (good && (found.verdict > LOCKSTEP_VERDICT_TORN || found.last_seq < before->last_seq || found.last_seq > life.last_seq))
        good = wrong("power lost again: verdict %u, seq %llu of %llu to %llu", found.verdict,
                     (unsigned long long)found.last_seq, (unsigned long long)before->last_seq,
                     (unsigned long long)life.last_seq);
    for (uint32_t i = life.count; i-- > 0;)
        memcpy(image->base[life.events[i].file] + life.events[i].at, life.old + life.events[i].data, life.events[i].bytes);
    return good;
}

bool check_image(struct image *image, uint64_t durable_seq, uint32_t unit)
{
    static struct lockstep_recovery found, again;
    uint64_t used[FILES_MAX];
    uint32_t actions[FILES_MAX], later[FILES_MAX];
    struct end end = intact(image);
    check_decide(image, &found, used, actions, 0);
    if (found.verdict != LOCKSTEP_VERDICT_CLEAN && found.verdict != LOCKSTEP_VERDICT_TORN)
        return wrong("verdict %u: a crash is taken for damage; seq %llu, durable %llu", found.verdict,
                     (unsigned long long)found.last_seq, (unsigned long long)found.durable_seq);
    if (found.last_seq != end.last_seq || found.segment != end.segment || found.offset != end.offset)
        return wrong("recovered up to seq %llu, segment %u, byte %llu; in the image the appended frames go to seq %llu, "
                     "segment %u, byte %u", (unsigned long long)found.last_seq, found.segment, (unsigned long long)found.offset,
                     (unsigned long long)end.last_seq, end.segment, end.offset);
    if (found.last_seq < durable_seq)
        return wrong("recovered up to seq %llu; %llu were durable", (unsigned long long)found.last_seq,
                     (unsigned long long)durable_seq);
    if (!same_by_index(image, &found))
        return false;
    const struct truth_frame *last = &trace.frames[found.last_seq];
    if (found.last_seq != 0 && (found.last_ts != last->ts || found.last_crc != last->crc))
        return wrong("the last frame has another ts or crc than the one appended");
    bool torn = found.cut_to > found.offset;
    for (uint32_t f = found.segment + 1; f <= image->segments; f++)
        torn = torn || used[f] != 0;
    if (torn != (found.verdict == LOCKSTEP_VERDICT_TORN))
        return wrong("verdict %u, though something %s to be cut", found.verdict, torn ? "is" : "is not");
    check_torn += torn;

    const uint32_t segments = image->segments, control_segment = image->control_segment;
    uint64_t cut = found.cut_to - found.offset;
    uint8_t *tail = image->base[found.segment] + found.offset;
    memcpy(saved, tail, cut);
    uint32_t steps = steps_of(image, &found, actions);
    bool good = true;
    if (torn && below(2) == 0) {
        carry_out(image, &found, actions, below(steps), below(2), unit);
        check_interrupted++;
        check_decide(image, &again, used, later, 0);
        if (again.verdict > LOCKSTEP_VERDICT_TORN || !same_end(&found, &again))
            good = wrong("interrupted, it decides again: verdict %u, seq %llu, first %llu", again.verdict,
                         (unsigned long long)again.last_seq, (unsigned long long)found.last_seq);
        memcpy(actions, later, sizeof actions);
    }
    carry_out(image, &found, actions, UINT32_MAX, false, unit);
    check_decide(image, &again, used, later, 0);
    if (good && (again.verdict != LOCKSTEP_VERDICT_CLEAN || !same_end(&found, &again)))
        good = wrong("recovered, it decides again: verdict %u, seq %llu, first %llu", again.verdict,
                     (unsigned long long)again.last_seq, (unsigned long long)found.last_seq);
    if (good && below(8) == 0 && (again.segment != 0 || again.prepared != 0))
        good = check_second_life(image, &again, unit);
    image->segments = segments;
    image->control_segment = control_segment;
    memcpy(tail, saved, cut);
    return good;
}
