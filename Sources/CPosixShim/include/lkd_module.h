#ifndef LKD_MODULE_H
#define LKD_MODULE_H

#include <stddef.h>
#include <sys/types.h>

/* From now on SIGTERM and SIGINT write one byte to `descriptor` instead of ending the process. 0, or an errno. */
int lkd_wake_on_termination(int descriptor);

/* Lets the calling thread take those two signals, whatever mask the process was started with. */
void lkd_unblock_termination(void);

/* send(2) that neither blocks nor raises SIGPIPE. */
ssize_t lkd_send_now(int descriptor, const void *bytes, size_t count);

#endif
