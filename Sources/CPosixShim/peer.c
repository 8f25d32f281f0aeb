#define _GNU_SOURCE
#include "lkd_peer.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/types.h>

int lkd_peer_credentials(int fd, struct lkd_peer *peer) {
    struct ucred credentials;
    socklen_t length = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return -errno;
    peer->pid = credentials.pid;
    peer->uid = credentials.uid;
    peer->gid = credentials.gid;
    return 0;
}

int lkd_peer_groups(int fd, uint32_t *groups, int capacity) {
    _Static_assert(sizeof(gid_t) == sizeof(uint32_t), "gid_t is 32 bits wide");
    socklen_t length = (socklen_t)capacity * sizeof(uint32_t);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length) != 0) return -errno;
    return (int)(length / sizeof(uint32_t));
}

int lkd_group_id(const char *name, uint32_t *gid) {
    size_t size = 1024;
    for (;;) {
        char *space = malloc(size);
        if (space == NULL) return -ENOMEM;
        struct group entry;
        struct group *found = NULL;
        int problem = getgrnam_r(name, &entry, space, size, &found);
        if (found != NULL) *gid = entry.gr_gid;
        free(space);
        if (problem == ERANGE && size < (1u << 20)) {
            size *= 2;
            continue;
        }
        if (problem != 0) return -problem;
        return found == NULL ? -ENOENT : 0;
    }
}

/* Room for one entry of the user or group database; groups with thousands of members are no private ones. */
enum { ENTRY_ROOM = 64 * 1024 };

static bool has_only(const struct group *group, const char *name) {
    for (char **member = group->gr_mem; *member != NULL; member++)
        if (strcmp(*member, name) != 0) return false;
    return strcmp(group->gr_name, name) == 0;
}

int lkd_private_group(uint32_t uid, uint32_t *gid) {
    char *space = malloc(2 * ENTRY_ROOM);
    if (space == NULL) return -ENOMEM;
    struct passwd user, *found_user = NULL;
    struct group group, *found_group = NULL;
    int problem = getpwuid_r(uid, &user, space, ENTRY_ROOM, &found_user);
    if (found_user != NULL)
        problem = getgrgid_r(user.pw_gid, &group, space + ENTRY_ROOM, ENTRY_ROOM, &found_group);
    bool is_private = found_group != NULL && has_only(&group, user.pw_name);
    if (is_private) *gid = group.gr_gid;
    free(space);
    if (is_private) return 0;
    return problem == 0 ? -ENOENT : -problem;
}
