#ifndef LKD_GPIO_COMMON_H
#define LKD_GPIO_COMMON_H

/* What both implementations need and neither library has. */
#include <errno.h>
#include <string.h>

#include "lkd_gpio.h"

static inline int failure(void) { return errno != 0 ? -errno : -EIO; }

static inline void copy(char *to, const char *from) {
    size_t length = from == NULL ? 0 : strnlen(from, LKD_GPIO_TEXT - 1);
    if (length > 0) memcpy(to, from, length);
    memset(to + length, 0, LKD_GPIO_TEXT - length);
}

#endif
