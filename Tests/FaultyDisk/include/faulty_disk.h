#ifndef FAULTY_DISK_H
#define FAULTY_DISK_H

#include <stddef.h>
#include <stdint.h>

/*
 * A file layer of SQLite ("VFS") over its ordinary one, that fails, dawdles and takes notes on command. Each disk is a layer of
 * its own, so that tests can run beside each other. All calls are safe from any thread.
 */
typedef struct faulty_disk faulty_disk;

/* Registers a layer under `name`. NULL where there is no memory. It stays until the process ends: SQLite may still name it. */
faulty_disk *faulty_disk_make(const char *name);

/* Lets writes and truncations fail with this SQLite code; 0 lets them succeed again. */
void faulty_disk_fail_writes(faulty_disk *disk, int code);
/* Lets syncs fail with this SQLite code; 0 lets them succeed again. */
void faulty_disk_fail_syncs(faulty_disk *disk, int code);
/* Takes this many bytes more; then the disk is full, in the midst of a write if need be. Negative: as many as there are. */
void faulty_disk_set_room(faulty_disk *disk, int64_t bytes);
/* How long each sync takes, in milliseconds. */
void faulty_disk_delay_syncs(faulty_disk *disk, int milliseconds);
/* Syncs since the beginning. */
int faulty_disk_syncs(faulty_disk *disk);

enum faulty_disk_kind {
    FAULTY_DISK_WRITE,
    FAULTY_DISK_TRUNCATE, /* to `offset` bytes */
    FAULTY_DISK_SYNC,
    FAULTY_DISK_DELETE,
    FAULTY_DISK_MARK /* by the test: `offset` is its number */
};

/* Whose file it is. */
enum faulty_disk_file { FAULTY_DISK_MAIN, FAULTY_DISK_LOG, FAULTY_DISK_OTHER };

/* One thing that was done, in order. */
struct faulty_disk_note {
    int kind;
    int file;
    int64_t offset;
    int length;
    const uint8_t *bytes; /* of a write; kept until the notes are dropped */
};

/* Begins to take notes, or ends it. */
void faulty_disk_take_notes(faulty_disk *disk, int on);
/* Notes that something has come to pass. */
void faulty_disk_mark(faulty_disk *disk, int64_t number);
/* How many notes there are. */
size_t faulty_disk_notes(faulty_disk *disk);
/* The note at `index`; all zeros beyond the end. */
struct faulty_disk_note faulty_disk_note_at(faulty_disk *disk, size_t index);

#endif
