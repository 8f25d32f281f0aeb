#ifndef LKD_ALARM_H
#define LKD_ALARM_H

#include <stdint.h>

/* A timer that counts also while the machine sleeps, as a descriptor that is readable once it has run out. Where the process may
 * (CAP_WAKE_ALARM) and the machine can, it wakes the machine for that. A descriptor, or -errno. */
int lkd_alarm_create(void);

/* Lets it run out in so many nanoseconds; 0 stops it. 0, or -errno. */
int lkd_alarm_set(int alarm, uint64_t nanoseconds);

/* After it has run out. */
void lkd_alarm_clear(int alarm);

#endif
