/* libgpiod 1.6. Only its headers define GPIOD_BIT. */
#include "lkd_gpio_common.h"

#include <gpiod.h>

#if defined(GPIOD_BIT)

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct lkd_gpio_lines {
    struct gpiod_chip *chip;
    struct gpiod_line_bulk bulk;
    bool is_watched;
    /* What outputs were told last, whether or not it reached them. */
    int levels[LKD_GPIO_LINES];
};

_Static_assert(GPIOD_LINE_BULK_MAX_LINES == LKD_GPIO_LINES, "one request takes as many lines as the kernel's");

static struct gpiod_chip *open_chip(const char *path) {
    errno = 0;
    return gpiod_chip_open(path);
}

const char *lkd_gpio_version(void) { return gpiod_version_string(); }

int lkd_gpio_read_chip(const char *path, struct lkd_gpio_chip *info) {
    struct gpiod_chip *chip = open_chip(path);
    if (chip == NULL) return failure();
    copy(info->name, gpiod_chip_name(chip));
    copy(info->label, gpiod_chip_label(chip));
    info->lines = gpiod_chip_num_lines(chip);
    gpiod_chip_close(chip);
    return 0;
}

int lkd_gpio_read_line(const char *path, unsigned offset, struct lkd_gpio_line *info) {
    struct gpiod_chip *chip = open_chip(path);
    if (chip == NULL) return failure();
    struct gpiod_line *line = gpiod_chip_get_line(chip, offset);
    int result = line == NULL ? failure() : 0;
    if (line != NULL) {
        copy(info->name, gpiod_line_name(line));
        copy(info->consumer, gpiod_line_consumer(line));
        info->is_used = gpiod_line_is_used(line);
        info->is_output = gpiod_line_direction(line) == GPIOD_LINE_DIRECTION_OUTPUT;
    }
    gpiod_chip_close(chip);
    return result;
}

static int flags(const struct lkd_gpio_wish *wish) {
    static const int biases[] = {0, GPIOD_LINE_REQUEST_FLAG_BIAS_DISABLE, GPIOD_LINE_REQUEST_FLAG_BIAS_PULL_UP,
                                 GPIOD_LINE_REQUEST_FLAG_BIAS_PULL_DOWN};
    static const int drives[] = {0, GPIOD_LINE_REQUEST_FLAG_OPEN_DRAIN, GPIOD_LINE_REQUEST_FLAG_OPEN_SOURCE};
    return biases[wish->bias] | (wish->is_output ? drives[wish->drive] : 0);
}

int lkd_gpio_request(const char *path, const char *consumer, const unsigned *offsets, size_t count,
                     const struct lkd_gpio_wish *wish, const int *levels, lkd_gpio_lines **out) {
    if (count == 0 || count > LKD_GPIO_LINES) return -EINVAL;
    lkd_gpio_lines *lines = calloc(1, sizeof *lines);
    if (lines == NULL) return -ENOMEM;
    lines->chip = open_chip(path);
    if (lines->chip == NULL) {
        int result = failure();
        free(lines);
        return result;
    }
    unsigned wanted[LKD_GPIO_LINES];
    memcpy(wanted, offsets, count * sizeof *wanted);
    struct gpiod_line_request_config config = {
        .consumer = consumer,
        .request_type = wish->is_output     ? GPIOD_LINE_REQUEST_DIRECTION_OUTPUT
                        : wish->wants_edges ? GPIOD_LINE_REQUEST_EVENT_BOTH_EDGES
                                            : GPIOD_LINE_REQUEST_DIRECTION_INPUT,
        .flags = flags(wish),
    };
    errno = 0;
    if (gpiod_chip_get_lines(lines->chip, wanted, (unsigned)count, &lines->bulk) < 0 ||
        gpiod_line_request_bulk(&lines->bulk, &config, wish->is_output ? levels : NULL) < 0) {
        int result = failure();
        gpiod_chip_close(lines->chip);
        free(lines);
        return result;
    }
    if (wish->is_output) memcpy(lines->levels, levels, count * sizeof *levels);
    lines->is_watched = !wish->is_output && wish->wants_edges;
    *out = lines;
    return 0;
}

int lkd_gpio_get(lkd_gpio_lines *lines, int *levels) {
    errno = 0;
    /* Watched inputs have a handle each in this interface, and are read one by one. */
    if (!lines->is_watched) return gpiod_line_get_value_bulk(&lines->bulk, levels) < 0 ? failure() : 0;
    for (unsigned index = 0; index < gpiod_line_bulk_num_lines(&lines->bulk); index++) {
        errno = 0;
        levels[index] = gpiod_line_get_value(gpiod_line_bulk_get_line(&lines->bulk, index));
        if (levels[index] < 0) return failure();
    }
    return 0;
}

int lkd_gpio_set(lkd_gpio_lines *lines, size_t index, int level) {
    if (index >= gpiod_line_bulk_num_lines(&lines->bulk)) return -EINVAL;
    /* Lines that were requested together have one handle, and it takes the levels of all of them: gpiod_line_set_value would
     * hand it one, which the kernel takes for that of the first line, and drive all others low. An order that failed is kept all
     * the same: the next one, for a neighbour, must not take it back. */
    lines->levels[index] = level;
    errno = 0;
    return gpiod_line_set_value_bulk(&lines->bulk, lines->levels) < 0 ? failure() : 0;
}

int lkd_gpio_descriptors(lkd_gpio_lines *lines, int *descriptors) {
    if (!lines->is_watched) return 0;
    int count = (int)gpiod_line_bulk_num_lines(&lines->bulk);
    for (int index = 0; index < count; index++) {
        errno = 0;
        descriptors[index] = gpiod_line_event_get_fd(gpiod_line_bulk_get_line(&lines->bulk, (unsigned)index));
        if (descriptors[index] < 0) return failure();
    }
    return count;
}

int lkd_gpio_read_edges(lkd_gpio_lines *lines, size_t descriptor, struct lkd_gpio_edge *edges) {
    if (descriptor >= gpiod_line_bulk_num_lines(&lines->bulk)) return -EINVAL;
    struct gpiod_line *line = gpiod_line_bulk_get_line(&lines->bulk, (unsigned)descriptor);
    struct gpiod_line_event events[LKD_GPIO_EDGES];
    errno = 0;
    int count = gpiod_line_event_read_multiple(line, events, LKD_GPIO_EDGES);
    if (count < 0) return failure();
    for (int index = 0; index < count; index++) {
        edges[index].offset = gpiod_line_offset(line);
        edges[index].level = events[index].event_type == GPIOD_LINE_EVENT_RISING_EDGE;
        edges[index].nanoseconds =
            (uint64_t)events[index].ts.tv_sec * 1000000000u + (uint64_t)events[index].ts.tv_nsec;
    }
    return count;
}

void lkd_gpio_release(lkd_gpio_lines *lines) {
    gpiod_line_release_bulk(&lines->bulk);
    gpiod_chip_close(lines->chip);
    free(lines);
}

#endif
