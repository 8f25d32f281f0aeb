#ifndef LKD_SPAWN_H
#define LKD_SPAWN_H

#include <sys/types.h>

/* What lkd_spawn leaves in the parent's hands. All descriptors are close-on-exec and belong to the caller. */
typedef struct {
    pid_t pid;
    int pidfd;   /* readable once the process has ended */
    int channel; /* our end of the socket pair that is the child's standard input and output */
    int errors;  /* read end of the pipe that is the child's standard error */
    int status;  /* readable once the program has been executed or could not be; for lkd_spawn_outcome */
} lkd_child;

/*
 * Starts `executable` (an absolute path) in `directory`, as the leader of a session of its own, with exactly the
 * variables of `environment` (NULL-terminated, "NAME=value") and no descriptor but 0, 1 and 2.
 *
 * The child gets SIGTERM when the calling THREAD ends, so call this only from a thread that lives as long as the program.
 * Returns as soon as there is a child, which still has to go to its folder and execute the program: a file system that
 * hangs blocks the child, not the caller. Returns 0, or the errno of the step that failed, whose name is then in `step`;
 * nothing is left open or running in that case.
 */
int lkd_spawn(const char *directory, const char *executable, char *const environment[], lkd_child *child,
              const char **step);

/*
 * How the beginning ended of the child whose `status` this is, and closes it: 0 when the program was executed, otherwise
 * the errno of the step that failed, whose name is then in `step`; the child ends by itself then and is to be waited for.
 * Blocks until `status` is readable.
 */
int lkd_spawn_outcome(int status, const char **step);

/* A pipe to wake a polling thread with: close-on-exec, neither end ever blocks. Returns 0 or an errno. */
int lkd_wake_pipe(int ends[2]);

/* Names the calling thread in thread listings; at most 15 bytes. */
void lkd_name_thread(const char *name);

#endif
