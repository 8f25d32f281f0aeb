#ifndef LKD_GPIO_H
#define LKD_GPIO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What this project needs of GPIO chips, over libgpiod 1.6 as well as 2.x; which one is decided when it is compiled.
 *
 * Levels are those of the wire, 0 and 1: what they mean is known above. Calls return 0 or a count where they worked, and -errno
 * where they did not. One thread at a time may use a set of lines. */

enum {
    /* As the kernel has it for names, labels and consumers (GPIO_MAX_NAME_SIZE), end included. */
    LKD_GPIO_TEXT = 32,
    /* Lines of one request, as in the kernel (GPIO_V2_LINES_MAX). */
    LKD_GPIO_LINES = 64,
    /* Edges that the kernel keeps for each line of a reader in either of its interfaces, and that are read at once. */
    LKD_GPIO_EDGES = 16,
};

enum lkd_gpio_bias { LKD_GPIO_BIAS_AS_IS, LKD_GPIO_BIAS_DISABLED, LKD_GPIO_BIAS_PULL_UP, LKD_GPIO_BIAS_PULL_DOWN };
enum lkd_gpio_drive { LKD_GPIO_PUSH_PULL, LKD_GPIO_OPEN_DRAIN, LKD_GPIO_OPEN_SOURCE };

struct lkd_gpio_chip {
    char name[LKD_GPIO_TEXT];
    char label[LKD_GPIO_TEXT];
    unsigned lines;
};

struct lkd_gpio_line {
    /* Empty where it has none. */
    char name[LKD_GPIO_TEXT];
    /* Who uses it; empty where nobody does, or somebody who does not say who he is. */
    char consumer[LKD_GPIO_TEXT];
    bool is_used;
    bool is_output;
};

/* A change of a line, with the kernel's monotonic clock. */
struct lkd_gpio_edge {
    unsigned offset;
    int level;
    uint64_t nanoseconds;
};

struct lkd_gpio_wish {
    bool is_output;
    enum lkd_gpio_bias bias;
    enum lkd_gpio_drive drive;
    /* Whether the edges of inputs are watched, which takes a chip with an interrupt. */
    bool wants_edges;
};

typedef struct lkd_gpio_lines lkd_gpio_lines;

/* The library's version, for people. */
const char *lkd_gpio_version(void);

/* `path` is that of a device file; -ENOTTY where it is none of a GPIO chip. */
int lkd_gpio_read_chip(const char *path, struct lkd_gpio_chip *chip);
int lkd_gpio_read_line(const char *path, unsigned offset, struct lkd_gpio_line *line);

/* Takes the lines, outputs at `levels`; -EBUSY where somebody has one of them, -ENODEV or -ENXIO where the chip has no interrupt and
 * edges are wanted. */
int lkd_gpio_request(const char *path, const char *consumer, const unsigned *offsets, size_t count,
                     const struct lkd_gpio_wish *wish, const int *levels, lkd_gpio_lines **lines);

/* The levels of all lines, in the order of the request. */
int lkd_gpio_get(lkd_gpio_lines *lines, int *levels);
int lkd_gpio_set(lkd_gpio_lines *lines, size_t index, int level);

/* Descriptors that are readable when edges have come, at most as many as there are lines: a count, 0 where none is watched. */
int lkd_gpio_descriptors(lkd_gpio_lines *lines, int *descriptors);

/* The edges that wait behind one of these descriptors, LKD_GPIO_EDGES at most: a count. Blocks where none does. */
int lkd_gpio_read_edges(lkd_gpio_lines *lines, size_t descriptor, struct lkd_gpio_edge *edges);

/* Lets go of the lines as they are. */
void lkd_gpio_release(lkd_gpio_lines *lines);

#endif
