#include "lkd_clock.h"

#include <string.h>
#include <sys/timex.h>

int lkd_clock_is_synchronized(void) {
    struct timex state;
    memset(&state, 0, sizeof state);
    /* Reading needs no right; TIME_ERROR is what an unsynchronised clock answers. */
    int answer = adjtimex(&state);
    return answer >= 0 && answer != TIME_ERROR && !(state.status & STA_UNSYNC);
}
