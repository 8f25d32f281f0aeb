// A wall clock that is wrong by as much as a file says, for LD_PRELOAD.
//
//     cc -shared -fPIC -O1 -o shifted_clock.so shifted_clock.c
//     SHIFTED_CLOCK=FILE LD_PRELOAD=shifted_clock.so lockerd ...
//
// FILE holds one 64-bit number, milliseconds to add. It is mapped, so that a test can let the clock jump while the program
// runs. Clocks that count from the start of the machine are left alone, as they are when somebody sets the time.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *control;

__attribute__((constructor)) static void map_control(void) {
    const char *path = getenv("SHIFTED_CLOCK");
    if (!path) return;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    void *page = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (page != MAP_FAILED) control = page;
}

static int64_t shift_ms(void) { return control ? *control : 0; }

static int real_clock(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    return real(clock, now);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = real_clock(clock, now);
    if (result != 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return result;
    int64_t nanoseconds = now->tv_nsec + shift_ms() % 1000 * 1000000;
    now->tv_sec += shift_ms() / 1000 + nanoseconds / 1000000000;
    now->tv_nsec = nanoseconds % 1000000000;
    if (now->tv_nsec < 0) {
        now->tv_nsec += 1000000000;
        now->tv_sec -= 1;
    }
    return 0;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec shifted;
    clock_gettime(CLOCK_REALTIME, &shifted);
    now->tv_sec = shifted.tv_sec;
    now->tv_usec = shifted.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *now) {
    struct timespec shifted;
    clock_gettime(CLOCK_REALTIME, &shifted);
    if (now) *now = shifted.tv_sec;
    return shifted.tv_sec;
}
