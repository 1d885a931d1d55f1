/* Power loss: crash images by the hundred thousand, each recovered by the production decision and judged.
 * Usage: images FOLDER SEED FIRST TRACES COUNT SECONDS EXHAUSTIVE RANDOMS POINTS SAMPLE_EVERY IMAGE
 * Traces FIRST … FIRST + TRACES - 1, until COUNT images or SECONDS (0: no limit). Every SAMPLE_EVERYth image (0: none), image
 * number IMAGE of a trace (0: none) and one that fails become a folder each in FOLDER, for the whole of recovery.
 * Prints one JSON object a line: progress, samples, at the end the sums. Exit code 1 where an image is recovered wrongly. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "journal/kernel/clock.h"
#include "lockstep/torture/images.h"

static const char *const names[STRATEGIES] = {"all old", "all new", "drop one", "keep one", "exhaustive", "random"};
static uint64_t images, in_trace, count_max, by_strategy[STRATEGIES], sample_every, wanted, samples, traces, trace_number;
static int64_t ends_ns, spoke_ns;
static const char *folder;
static bool failed, enough;

static void write_file(const char *path, const void *data, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL || fwrite(data, 1, bytes, file) != bytes || fclose(file) != 0) {
        fprintf(stderr, "images: %s cannot be written\n", path);
        exit(2);
    }
}

/* The image as a journal's segments, and what was decided about it. */
static void keep(const struct image *image, const char *kind)
{
    static struct lockstep_recovery found;
    uint64_t used[FILES_MAX];
    uint32_t actions[FILES_MAX];
    char path[4096 + 64];
    snprintf(path, sizeof path, "%s/%s%llu-%llu", folder, kind, (unsigned long long)trace_number, (unsigned long long)in_trace);
    mkdir(path, 0755);
    size_t n = strlen(path);
    for (uint32_t f = 1; f <= image->segments; f++) {
        snprintf(path + n, sizeof path - n, "/%08u.seg", f);
        write_file(path, image->base[f], SEGMENT_BYTES);
    }
    path[n] = 0;
    check_decide(image, &found, used, actions, 0);
    printf("{\"event\": \"%s\", \"folder\": \"%s\", \"control_durable_seq\": %llu, \"control_segment\": %u, \"verdict\": %u, "
           "\"last_seq\": %llu, \"last_ts\": %lld, \"last_crc\": %u, \"segment\": %u, \"offset\": %llu, \"cut_to\": %llu, "
           "\"prepared\": %u}\n", strcmp(kind, "failed") == 0 ? "kept" : "sample", path,
           (unsigned long long)image->control_durable_seq, image->control_segment, found.verdict,
           (unsigned long long)found.last_seq, (long long)found.last_ts, found.last_crc, found.segment,
           (unsigned long long)found.offset, (unsigned long long)found.cut_to, found.prepared);
}

static bool judge(struct image *image, uint32_t point, uint32_t unit, enum strategy strategy)
{
    images++;
    in_trace++;
    by_strategy[strategy]++;
    if (!check_image(image, trace.events[point < trace.count ? point : trace.count - 1].durable_seq, unit)) {
        printf("{\"event\": \"found\", \"trace\": %llu, \"image\": %llu, \"point\": %u, \"unit\": %u, \"strategy\": \"%s\", "
               "\"what\": \"%s\"}\n", (unsigned long long)trace_number, (unsigned long long)in_trace, point, unit,
               names[strategy], check_failure);
        keep(image, "failed");
        failed = true;
        return false;
    }
    if (in_trace == wanted)
        keep(image, "failed");
    if (sample_every != 0 && images % sample_every == 0) {
        samples++;
        keep(image, "sample");
    }
    if (images % 1024 == 0) {
        int64_t now = lockstep_mono_ns(NULL);
        if (now - spoke_ns > 200000000) {
            spoke_ns = now;
            printf("{\"event\": \"progress\", \"images\": %llu, \"traces\": %llu}\n", (unsigned long long)images,
                   (unsigned long long)traces);
            fflush(stdout);
        }
        enough = ends_ns != 0 && now >= ends_ns;
    }
    enough = enough || (count_max != 0 && images >= count_max);
    return !enough;
}

static void remove_segments(const char *path)
{
    char name[4096 + 64];
    for (uint32_t f = 1; f <= trace.files; f++) {
        snprintf(name, sizeof name, "%s/%08u.seg", path, f);
        unlink(name);
    }
}

int main(int argc, char **argv)
{
    if (argc != 12)
        return 2;
    folder = argv[1];
    uint64_t number[12];
    for (int i = 2; i < 12; i++)
        number[i] = strtoull(argv[i], NULL, 10);
    count_max = number[5];
    int64_t started = lockstep_mono_ns(NULL);
    if (number[6] != 0)
        ends_ns = started + (int64_t)number[6] * 1000000000;
    struct options options = {(uint32_t)number[7], (uint32_t)number[8], (uint32_t)number[9]};
    sample_every = number[10];
    wanted = number[11];
    char live[4096];
    snprintf(live, sizeof live, "%s/live", folder);
    mkdir(live, 0755);
    for (trace_number = number[3]; trace_number < number[3] + number[4] && !failed && !enough; trace_number++) {
        random_seed(number[2] * UINT64_C(0x2545F4914F6CDD1D) + trace_number);
        in_trace = 0;
        trace_run(live);
        remove_segments(live);
        traces++;
        disk_images(&options, judge);
    }
    rmdir(live);
    printf("{\"event\": \"end\", \"images\": %llu, \"traces\": %llu, \"points\": %llu, \"torn\": %llu, \"interrupted\": %llu, "
           "\"second_lives\": %llu, \"passed\": %llu, \"samples\": %llu, \"ns\": %lld",
           (unsigned long long)images, (unsigned long long)traces,
           (unsigned long long)disk_points(), (unsigned long long)check_torn, (unsigned long long)check_interrupted,
           (unsigned long long)check_second_lives, (unsigned long long)check_passed, (unsigned long long)samples,
           (long long)(lockstep_mono_ns(NULL) - started));
    for (int s = 0; s < STRATEGIES; s++)
        printf(", \"%s\": %llu", names[s], (unsigned long long)by_strategy[s]);
    printf("}\n");
    return failed;
}
