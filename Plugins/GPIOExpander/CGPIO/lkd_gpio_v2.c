/* libgpiod 2.x. */
#include "lkd_gpio_common.h"

#include <gpiod.h>

#if !defined(GPIOD_BIT)

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct lkd_gpio_lines {
    struct gpiod_line_request *request;
    struct gpiod_edge_event_buffer *buffer;
    unsigned offsets[LKD_GPIO_LINES];
    size_t count;
    bool is_watched;
};

static struct gpiod_chip *open_chip(const char *path) {
    errno = 0;
    return gpiod_chip_open(path);
}

const char *lkd_gpio_version(void) { return gpiod_api_version(); }

int lkd_gpio_read_chip(const char *path, struct lkd_gpio_chip *info) {
    struct gpiod_chip *chip = open_chip(path);
    if (chip == NULL) return failure();
    struct gpiod_chip_info *found = gpiod_chip_get_info(chip);
    int result = found == NULL ? failure() : 0;
    if (found != NULL) {
        copy(info->name, gpiod_chip_info_get_name(found));
        copy(info->label, gpiod_chip_info_get_label(found));
        info->lines = (unsigned)gpiod_chip_info_get_num_lines(found);
        gpiod_chip_info_free(found);
    }
    gpiod_chip_close(chip);
    return result;
}

int lkd_gpio_read_line(const char *path, unsigned offset, struct lkd_gpio_line *info) {
    struct gpiod_chip *chip = open_chip(path);
    if (chip == NULL) return failure();
    struct gpiod_line_info *found = gpiod_chip_get_line_info(chip, offset);
    int result = found == NULL ? failure() : 0;
    if (found != NULL) {
        copy(info->name, gpiod_line_info_get_name(found));
        copy(info->consumer, gpiod_line_info_get_consumer(found));
        info->is_used = gpiod_line_info_is_used(found);
        info->is_output = gpiod_line_info_get_direction(found) == GPIOD_LINE_DIRECTION_OUTPUT;
        gpiod_line_info_free(found);
    }
    gpiod_chip_close(chip);
    return result;
}

static struct gpiod_line_settings *settings(const struct lkd_gpio_wish *wish) {
    static const enum gpiod_line_bias biases[] = {GPIOD_LINE_BIAS_AS_IS, GPIOD_LINE_BIAS_DISABLED, GPIOD_LINE_BIAS_PULL_UP,
                                                  GPIOD_LINE_BIAS_PULL_DOWN};
    static const enum gpiod_line_drive drives[] = {GPIOD_LINE_DRIVE_PUSH_PULL, GPIOD_LINE_DRIVE_OPEN_DRAIN,
                                                   GPIOD_LINE_DRIVE_OPEN_SOURCE};
    struct gpiod_line_settings *made = gpiod_line_settings_new();
    if (made == NULL) return NULL;
    int result = gpiod_line_settings_set_bias(made, biases[wish->bias]);
    if (wish->is_output) {
        result |= gpiod_line_settings_set_direction(made, GPIOD_LINE_DIRECTION_OUTPUT);
        result |= gpiod_line_settings_set_drive(made, drives[wish->drive]);
    } else {
        result |= gpiod_line_settings_set_direction(made, GPIOD_LINE_DIRECTION_INPUT);
        result |= gpiod_line_settings_set_edge_detection(made, wish->wants_edges ? GPIOD_LINE_EDGE_BOTH : GPIOD_LINE_EDGE_NONE);
    }
    if (result == 0) return made;
    gpiod_line_settings_free(made);
    return NULL;
}

static int add_line(struct gpiod_line_config *config, struct gpiod_line_settings *line, unsigned offset, int level) {
    if (gpiod_line_settings_set_output_value(line, level ? GPIOD_LINE_VALUE_ACTIVE : GPIOD_LINE_VALUE_INACTIVE) < 0)
        return -1;
    return gpiod_line_config_add_line_settings(config, &offset, 1, line);
}

static int request(const char *path, const char *consumer, const struct lkd_gpio_wish *wish, const int *levels,
                   lkd_gpio_lines *lines) {
    struct gpiod_line_settings *line = settings(wish);
    struct gpiod_line_config *config = gpiod_line_config_new();
    struct gpiod_request_config *name = gpiod_request_config_new();
    struct gpiod_chip *chip = open_chip(path);
    int result = chip == NULL ? failure() : 0;
    if (result == 0 && (line == NULL || config == NULL || name == NULL)) result = -ENOMEM;
    for (size_t index = 0; result == 0 && index < lines->count; index++) {
        int level = wish->is_output && levels != NULL ? levels[index] : 0;
        if (add_line(config, line, lines->offsets[index], level) < 0) result = failure();
    }
    if (result == 0) {
        gpiod_request_config_set_consumer(name, consumer);
        errno = 0;
        lines->request = gpiod_chip_request_lines(chip, name, config);
        if (lines->request == NULL) result = failure();
    }
    if (chip != NULL) gpiod_chip_close(chip);
    gpiod_request_config_free(name);
    gpiod_line_config_free(config);
    gpiod_line_settings_free(line);
    return result;
}

int lkd_gpio_request(const char *path, const char *consumer, const unsigned *offsets, size_t count,
                     const struct lkd_gpio_wish *wish, const int *levels, lkd_gpio_lines **out) {
    if (count == 0 || count > LKD_GPIO_LINES) return -EINVAL;
    lkd_gpio_lines *lines = calloc(1, sizeof *lines);
    if (lines == NULL) return -ENOMEM;
    memcpy(lines->offsets, offsets, count * sizeof *offsets);
    lines->count = count;
    lines->buffer = gpiod_edge_event_buffer_new(LKD_GPIO_EDGES);
    int result = lines->buffer == NULL ? -ENOMEM : request(path, consumer, wish, levels, lines);
    if (result < 0) {
        if (lines->buffer != NULL) gpiod_edge_event_buffer_free(lines->buffer);
        free(lines);
        return result;
    }
    lines->is_watched = !wish->is_output && wish->wants_edges;
    *out = lines;
    return 0;
}

int lkd_gpio_get(lkd_gpio_lines *lines, int *levels) {
    enum gpiod_line_value values[LKD_GPIO_LINES];
    errno = 0;
    if (gpiod_line_request_get_values_subset(lines->request, lines->count, lines->offsets, values) < 0) return failure();
    for (size_t index = 0; index < lines->count; index++) levels[index] = values[index] == GPIOD_LINE_VALUE_ACTIVE;
    return 0;
}

int lkd_gpio_set(lkd_gpio_lines *lines, size_t index, int level) {
    if (index >= lines->count) return -EINVAL;
    errno = 0;
    enum gpiod_line_value value = level ? GPIOD_LINE_VALUE_ACTIVE : GPIOD_LINE_VALUE_INACTIVE;
    return gpiod_line_request_set_value(lines->request, lines->offsets[index], value) < 0 ? failure() : 0;
}

int lkd_gpio_descriptors(lkd_gpio_lines *lines, int *descriptors) {
    if (!lines->is_watched) return 0;
    descriptors[0] = gpiod_line_request_get_fd(lines->request);
    return 1;
}

int lkd_gpio_read_edges(lkd_gpio_lines *lines, size_t descriptor, struct lkd_gpio_edge *edges) {
    if (descriptor != 0) return -EINVAL;
    errno = 0;
    int count = gpiod_line_request_read_edge_events(lines->request, lines->buffer, LKD_GPIO_EDGES);
    if (count < 0) return failure();
    for (int index = 0; index < count; index++) {
        struct gpiod_edge_event *event = gpiod_edge_event_buffer_get_event(lines->buffer, (unsigned long)index);
        edges[index].offset = gpiod_edge_event_get_line_offset(event);
        edges[index].level = gpiod_edge_event_get_event_type(event) == GPIOD_EDGE_EVENT_RISING_EDGE;
        edges[index].nanoseconds = gpiod_edge_event_get_timestamp_ns(event);
    }
    return count;
}

void lkd_gpio_release(lkd_gpio_lines *lines) {
    gpiod_line_request_release(lines->request);
    gpiod_edge_event_buffer_free(lines->buffer);
    free(lines);
}

#endif
