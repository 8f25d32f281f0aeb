#ifndef LKD_PEER_H
#define LKD_PEER_H

#include <stdint.h>

/* Who is at the other end of a connected Unix socket, as the kernel recorded it at connect time. */
struct lkd_peer {
    int32_t pid;
    uint32_t uid;
    uint32_t gid;
};

/* Fills `peer` from SO_PEERCRED. Returns 0, or a negative errno. */
int lkd_peer_credentials(int fd, struct lkd_peer *peer);

/* Writes the peer's supplementary groups (SO_PEERGROUPS, Linux 4.13) and returns how many there are, or a negative errno;
   -ERANGE means that `capacity` does not hold them all. */
int lkd_peer_groups(int fd, uint32_t *groups, int capacity);

/* Looks a group up by name. Returns 0 and its id, or a negative errno; -ENOENT where there is no such group. */
int lkd_group_id(const char *name, uint32_t *gid);

/* The primary group of a user where it bears the user's name and lists no other member, as systems make one for each user.
   Returns 0 and its id, or a negative errno; -ENOENT where the user has no such group. */
int lkd_private_group(uint32_t uid, uint32_t *gid);

#endif
