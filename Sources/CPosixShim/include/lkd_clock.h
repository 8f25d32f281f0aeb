#ifndef LKD_CLOCK_H
#define LKD_CLOCK_H

/* 1 where the kernel holds the wall clock to be synchronised, 0 where not, or where it will not say. */
int lkd_clock_is_synchronized(void);

#endif
