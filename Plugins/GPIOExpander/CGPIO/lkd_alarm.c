#define _GNU_SOURCE
#include "lkd_alarm.h"

#include <errno.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

int lkd_alarm_create(void) {
    int alarm = timerfd_create(CLOCK_BOOTTIME_ALARM, TFD_CLOEXEC | TFD_NONBLOCK);
    if (alarm < 0) alarm = timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    return alarm < 0 ? -errno : alarm;
}

int lkd_alarm_set(int alarm, uint64_t nanoseconds) {
    struct itimerspec setting = {
        .it_value = {.tv_sec = (time_t)(nanoseconds / 1000000000u), .tv_nsec = (long)(nanoseconds % 1000000000u)},
    };
    return timerfd_settime(alarm, 0, &setting, NULL) < 0 ? -errno : 0;
}

void lkd_alarm_clear(int alarm) {
    uint64_t count;
    ssize_t got = read(alarm, &count, sizeof count);
    (void)got; /* it may not have run out */
}
