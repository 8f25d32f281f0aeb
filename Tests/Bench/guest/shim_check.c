/* The GPIO shim on the command line, for a test that knows better than the shim what has to come of it. Reads orders from standard
 * input, one a line, and answers each with one line:
 *
 *     version | chip PATH | line PATH OFFSET | get | set INDEX LEVEL | edges | release
 *     request PATH out|in|watch BIAS DRIVE OFFSET[=LEVEL]...
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lkd_gpio.h"

static lkd_gpio_lines *lines;
static unsigned count;

static void answer(int result) {
    if (result < 0) printf("error %s\n", strerrorname_np(-result));
}

static void request(void) {
    const char *path = strtok(NULL, " ");
    const char *kind = strtok(NULL, " ");
    struct lkd_gpio_wish wish = {.is_output = strcmp(kind, "out") == 0, .wants_edges = strcmp(kind, "watch") == 0};
    wish.bias = (enum lkd_gpio_bias)atoi(strtok(NULL, " "));
    wish.drive = (enum lkd_gpio_drive)atoi(strtok(NULL, " "));
    unsigned offsets[LKD_GPIO_LINES];
    int levels[LKD_GPIO_LINES] = {0};
    unsigned wanted = 0;
    for (char *word = strtok(NULL, " "); word != NULL && wanted < LKD_GPIO_LINES; word = strtok(NULL, " ")) {
        char *end;
        offsets[wanted] = (unsigned)strtoul(word, &end, 10);
        levels[wanted++] = *end == '=' ? atoi(end + 1) : 0;
    }
    int result = lkd_gpio_request(path, "shim check", offsets, wanted, &wish, levels, &lines);
    if (result == 0) {
        count = wanted;
        printf("ok\n");
    }
    answer(result);
}

static void get(void) {
    int levels[LKD_GPIO_LINES];
    int result = lkd_gpio_get(lines, levels);
    answer(result);
    if (result < 0) return;
    for (unsigned index = 0; index < count; index++) printf("%d%c", levels[index], index + 1 < count ? ' ' : '\n');
}

/* All that wait, until nothing comes for 50 ms. */
static void edges(void) {
    int descriptors[LKD_GPIO_LINES];
    int ends = lkd_gpio_descriptors(lines, descriptors);
    if (ends < 0) {
        answer(ends);
        return;
    }
    for (;;) {
        struct pollfd polled[LKD_GPIO_LINES];
        for (int index = 0; index < ends; index++) polled[index] = (struct pollfd){descriptors[index], POLLIN, 0};
        if (poll(polled, (nfds_t)ends, 50) <= 0) break;
        for (int index = 0; index < ends; index++) {
            if ((polled[index].revents & POLLIN) == 0) continue;
            struct lkd_gpio_edge found[LKD_GPIO_EDGES];
            int got = lkd_gpio_read_edges(lines, (size_t)index, found);
            for (int edge = 0; edge < got; edge++)
                printf("%u:%d:%llu ", found[edge].offset, found[edge].level,
                       (unsigned long long)found[edge].nanoseconds);
        }
    }
    printf("end\n");
}

static void look(const char *word) {
    const char *path = strtok(NULL, " ");
    if (strcmp(word, "chip") == 0) {
        struct lkd_gpio_chip chip;
        int result = lkd_gpio_read_chip(path, &chip);
        answer(result);
        if (result == 0) printf("%s %s %u\n", chip.name, chip.label, chip.lines);
    } else {
        struct lkd_gpio_line line;
        int result = lkd_gpio_read_line(path, (unsigned)atoi(strtok(NULL, " ")), &line);
        answer(result);
        if (result == 0)
            printf("[%s] [%s] %s %s\n", line.name, line.consumer, line.is_used ? "used" : "free",
                   line.is_output ? "output" : "input");
    }
}

int main(void) {
    char text[4096];
    setvbuf(stdout, NULL, _IOLBF, 0);
    while (fgets(text, sizeof text, stdin) != NULL) {
        text[strcspn(text, "\n")] = 0;
        const char *word = strtok(text, " ");
        if (word == NULL) continue;
        if (strcmp(word, "version") == 0) printf("%s\n", lkd_gpio_version());
        else if (strcmp(word, "request") == 0) request();
        else if (strcmp(word, "get") == 0) get();
        else if (strcmp(word, "edges") == 0) edges();
        else if (strcmp(word, "set") == 0) {
            size_t index = (size_t)atoi(strtok(NULL, " "));
            int result = lkd_gpio_set(lines, index, atoi(strtok(NULL, " ")));
            if (result == 0) printf("ok\n");
            answer(result);
        } else if (strcmp(word, "release") == 0) {
            lkd_gpio_release(lines);
            printf("ok\n");
        } else look(word);
    }
    return 0;
}
