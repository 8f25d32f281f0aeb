#define _GNU_SOURCE
#include "faulty_disk.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct faulty_disk {
    sqlite3_vfs layer;
    sqlite3_vfs *real;
    pthread_mutex_t mutex;
    int write_code, sync_code, delay, syncs, takes_notes;
    int64_t room;
    struct faulty_disk_note *notes;
    size_t count, capacity;
};

/* SQLite allocates `szOsFile` bytes: ours, and the real file's behind them. */
struct file {
    sqlite3_file base;
    faulty_disk *disk;
    sqlite3_file *real;
    int which;
};

static struct file *of(sqlite3_file *file) { return (struct file *)file; }
static faulty_disk *disk_of(sqlite3_vfs *layer) { return layer->pAppData; }

/* With the mutex held. A note that finds no memory ends the test: nothing may be missing. */
static void take_note(faulty_disk *disk, int kind, int which, int64_t offset, const void *bytes, int length) {
    if (!disk->takes_notes) return;
    if (disk->count == disk->capacity) {
        disk->capacity = disk->capacity ? disk->capacity * 2 : 256;
        disk->notes = realloc(disk->notes, disk->capacity * sizeof *disk->notes);
        if (disk->notes == NULL) abort();
    }
    uint8_t *copy = NULL;
    if (bytes != NULL) {
        copy = malloc((size_t)length);
        if (copy == NULL) abort();
        memcpy(copy, bytes, (size_t)length);
    }
    disk->notes[disk->count++] = (struct faulty_disk_note){kind, which, offset, length, copy};
}

static int file_close(sqlite3_file *file) { return of(file)->real->pMethods->xClose(of(file)->real); }

static int file_read(sqlite3_file *file, void *bytes, int length, sqlite3_int64 offset) {
    return of(file)->real->pMethods->xRead(of(file)->real, bytes, length, offset);
}

static int file_write(sqlite3_file *file, const void *bytes, int length, sqlite3_int64 offset) {
    struct file *mine = of(file);
    faulty_disk *disk = mine->disk;
    pthread_mutex_lock(&disk->mutex);
    int code = disk->write_code;
    int fits = length;
    if (code == SQLITE_OK && disk->room >= 0) {
        /* What a file has already, it may write again. */
        sqlite3_int64 size = 0;
        mine->real->pMethods->xFileSize(mine->real, &size);
        sqlite3_int64 held = size <= offset ? 0 : size - offset < length ? size - offset : length;
        if (disk->room < length - held) {
            fits = (int)(held + disk->room);
            code = SQLITE_FULL;
        }
        if (fits > held) disk->room -= fits - held;
    }
    if (code == SQLITE_OK || (code == SQLITE_FULL && fits > 0 && fits < length)) {
        int written = mine->real->pMethods->xWrite(mine->real, bytes, fits, offset);
        take_note(disk, FAULTY_DISK_WRITE, mine->which, offset, bytes, fits);
        if (code == SQLITE_OK) code = written;
    }
    pthread_mutex_unlock(&disk->mutex);
    return code;
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size) {
    struct file *mine = of(file);
    faulty_disk *disk = mine->disk;
    pthread_mutex_lock(&disk->mutex);
    int code = disk->write_code;
    if (code == SQLITE_OK) {
        code = mine->real->pMethods->xTruncate(mine->real, size);
        take_note(disk, FAULTY_DISK_TRUNCATE, mine->which, size, NULL, 0);
    }
    pthread_mutex_unlock(&disk->mutex);
    return code;
}

static int file_sync(sqlite3_file *file, int flags) {
    struct file *mine = of(file);
    faulty_disk *disk = mine->disk;
    pthread_mutex_lock(&disk->mutex);
    int code = disk->sync_code;
    int delay = disk->delay;
    disk->syncs++;
    if (code == SQLITE_OK) {
        code = mine->real->pMethods->xSync(mine->real, flags);
        take_note(disk, FAULTY_DISK_SYNC, mine->which, 0, NULL, 0);
    }
    pthread_mutex_unlock(&disk->mutex);
    if (delay > 0) {
        struct timespec pause = {delay / 1000, (delay % 1000) * 1000000L};
        nanosleep(&pause, NULL);
    }
    return code;
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size) {
    return of(file)->real->pMethods->xFileSize(of(file)->real, size);
}
static int file_lock(sqlite3_file *file, int level) { return of(file)->real->pMethods->xLock(of(file)->real, level); }
static int file_unlock(sqlite3_file *file, int level) {
    return of(file)->real->pMethods->xUnlock(of(file)->real, level);
}
static int file_reserved(sqlite3_file *file, int *out) {
    return of(file)->real->pMethods->xCheckReservedLock(of(file)->real, out);
}
static int file_control(sqlite3_file *file, int what, void *argument) {
    return of(file)->real->pMethods->xFileControl(of(file)->real, what, argument);
}
static int file_sector(sqlite3_file *file) { return of(file)->real->pMethods->xSectorSize(of(file)->real); }
static int file_traits(sqlite3_file *file) {
    return of(file)->real->pMethods->xDeviceCharacteristics(of(file)->real);
}
static int shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out) {
    return of(file)->real->pMethods->xShmMap(of(file)->real, page, size, extend, out);
}
static int shm_lock(sqlite3_file *file, int offset, int count, int flags) {
    return of(file)->real->pMethods->xShmLock(of(file)->real, offset, count, flags);
}
static void shm_barrier(sqlite3_file *file) { of(file)->real->pMethods->xShmBarrier(of(file)->real); }
static int shm_unmap(sqlite3_file *file, int deletes) {
    return of(file)->real->pMethods->xShmUnmap(of(file)->real, deletes);
}

/* Version 2: without memory mapping of the database, so that every byte comes by here. */
static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector,
    .xDeviceCharacteristics = file_traits,
    .xShmMap = shm_map,
    .xShmLock = shm_lock,
    .xShmBarrier = shm_barrier,
    .xShmUnmap = shm_unmap,
};

static int layer_open(sqlite3_vfs *layer, const char *name, sqlite3_file *file, int flags, int *out) {
    struct file *mine = of(file);
    mine->base.pMethods = NULL;
    mine->disk = disk_of(layer);
    mine->real = (sqlite3_file *)(mine + 1);
    mine->which = flags & SQLITE_OPEN_MAIN_DB ? FAULTY_DISK_MAIN
                  : flags & SQLITE_OPEN_WAL   ? FAULTY_DISK_LOG
                                              : FAULTY_DISK_OTHER;
    int code = mine->disk->real->xOpen(mine->disk->real, name, mine->real, flags, out);
    if (mine->real->pMethods != NULL) mine->base.pMethods = &methods;
    return code;
}

static int layer_delete(sqlite3_vfs *layer, const char *name, int syncs) {
    faulty_disk *disk = disk_of(layer);
    size_t length = strlen(name);
    int which = length > 4 && strcmp(name + length - 4, "-wal") == 0 ? FAULTY_DISK_LOG : FAULTY_DISK_OTHER;
    int code = disk->real->xDelete(disk->real, name, syncs);
    pthread_mutex_lock(&disk->mutex);
    take_note(disk, FAULTY_DISK_DELETE, which, 0, NULL, 0);
    pthread_mutex_unlock(&disk->mutex);
    return code;
}

static int layer_access(sqlite3_vfs *layer, const char *name, int flags, int *out) {
    return disk_of(layer)->real->xAccess(disk_of(layer)->real, name, flags, out);
}
static int layer_path(sqlite3_vfs *layer, const char *name, int room, char *out) {
    return disk_of(layer)->real->xFullPathname(disk_of(layer)->real, name, room, out);
}
static int layer_random(sqlite3_vfs *layer, int count, char *out) {
    return disk_of(layer)->real->xRandomness(disk_of(layer)->real, count, out);
}
static int layer_sleep(sqlite3_vfs *layer, int microseconds) {
    return disk_of(layer)->real->xSleep(disk_of(layer)->real, microseconds);
}
static int layer_time(sqlite3_vfs *layer, double *out) {
    return disk_of(layer)->real->xCurrentTime(disk_of(layer)->real, out);
}
static int layer_error(sqlite3_vfs *layer, int room, char *out) {
    return disk_of(layer)->real->xGetLastError(disk_of(layer)->real, room, out);
}
static int layer_time64(sqlite3_vfs *layer, sqlite3_int64 *out) {
    return disk_of(layer)->real->xCurrentTimeInt64(disk_of(layer)->real, out);
}

faulty_disk *faulty_disk_make(const char *name) {
    sqlite3_vfs *real = sqlite3_vfs_find(NULL);
    faulty_disk *disk = calloc(1, sizeof *disk);
    char *copy = strdup(name);
    if (real == NULL || disk == NULL || copy == NULL) return NULL;
    pthread_mutex_init(&disk->mutex, NULL);
    disk->room = -1;
    disk->real = real;
    disk->layer = (sqlite3_vfs){
        .iVersion = 2,
        .szOsFile = (int)sizeof(struct file) + real->szOsFile,
        .mxPathname = real->mxPathname,
        .zName = copy,
        .pAppData = disk,
        .xOpen = layer_open,
        .xDelete = layer_delete,
        .xAccess = layer_access,
        .xFullPathname = layer_path,
        .xRandomness = layer_random,
        .xSleep = layer_sleep,
        .xCurrentTime = layer_time,
        .xGetLastError = layer_error,
        .xCurrentTimeInt64 = layer_time64,
    };
    return sqlite3_vfs_register(&disk->layer, 0) == SQLITE_OK ? disk : NULL;
}

/* Sets a member with the mutex held. */
#define SET(member, value)                   \
    do {                                     \
        pthread_mutex_lock(&disk->mutex);    \
        disk->member = (value);              \
        pthread_mutex_unlock(&disk->mutex);  \
    } while (0)

void faulty_disk_fail_writes(faulty_disk *disk, int code) { SET(write_code, code); }
void faulty_disk_fail_syncs(faulty_disk *disk, int code) { SET(sync_code, code); }
void faulty_disk_set_room(faulty_disk *disk, int64_t bytes) { SET(room, bytes); }
void faulty_disk_delay_syncs(faulty_disk *disk, int milliseconds) { SET(delay, milliseconds); }
void faulty_disk_take_notes(faulty_disk *disk, int on) { SET(takes_notes, on); }

int faulty_disk_syncs(faulty_disk *disk) {
    pthread_mutex_lock(&disk->mutex);
    int count = disk->syncs;
    pthread_mutex_unlock(&disk->mutex);
    return count;
}

void faulty_disk_mark(faulty_disk *disk, int64_t number) {
    pthread_mutex_lock(&disk->mutex);
    take_note(disk, FAULTY_DISK_MARK, FAULTY_DISK_OTHER, number, NULL, 0);
    pthread_mutex_unlock(&disk->mutex);
}

size_t faulty_disk_notes(faulty_disk *disk) {
    pthread_mutex_lock(&disk->mutex);
    size_t count = disk->count;
    pthread_mutex_unlock(&disk->mutex);
    return count;
}

struct faulty_disk_note faulty_disk_note_at(faulty_disk *disk, size_t index) {
    struct faulty_disk_note note = {0};
    pthread_mutex_lock(&disk->mutex);
    if (index < disk->count) note = disk->notes[index];
    pthread_mutex_unlock(&disk->mutex);
    return note;
}
