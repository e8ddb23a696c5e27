/* Preloaded into a process that has a database open: writes down, in order, what reaches the system of the files under
 * SEAM_FOLDER, into the file SEAM_JOURNAL. A record is, in the machine's byte order: one byte for the kind (W a write, T a
 * truncation, S a sync, U a removal), then as 64 bits each an offset, the length of the path and that of the bytes, then both. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

/* The calls that the library itself makes go to the system's own, found once. */
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_fsync)(int);
static int (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_unlink)(const char *);

static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static const char *folder;

__attribute__((constructor)) static void find(void) {
    real_write = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");
    real_pwrite = (ssize_t(*)(int, const void *, size_t, off_t))dlsym(RTLD_NEXT, "pwrite64");
    real_fsync = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    real_ftruncate = (int (*)(int, off_t))dlsym(RTLD_NEXT, "ftruncate64");
    real_unlink = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    folder = getenv("SEAM_FOLDER");
    const char *path = getenv("SEAM_JOURNAL");
    if (path) journal = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

static void record(char kind, const char *path, uint64_t offset, const void *bytes, uint64_t length) {
    if (journal < 0 || !folder || strncmp(path, folder, strlen(folder)) != 0) return;
    uint64_t numbers[3] = {offset, strlen(path), length};
    real_write(journal, &kind, 1);
    real_write(journal, numbers, sizeof numbers);
    real_write(journal, path, numbers[1]);
    if (length) real_write(journal, bytes, length);
}

static void record_fd(char kind, int fd, uint64_t offset, const void *bytes, uint64_t length) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t end = readlink(link, path, sizeof path - 1);
    if (end <= 0 || path[0] != '/') return;
    path[end] = 0;
    record(kind, path, offset, bytes, length);
}

ssize_t write(int fd, const void *bytes, size_t length) {
    pthread_mutex_lock(&turn);
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t written = real_write(fd, bytes, length);
    if (written > 0 && at >= 0) record_fd('W', fd, (uint64_t)at, bytes, (uint64_t)written);
    pthread_mutex_unlock(&turn);
    return written;
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t at) {
    pthread_mutex_lock(&turn);
    ssize_t written = real_pwrite(fd, bytes, length, at);
    if (written > 0) record_fd('W', fd, (uint64_t)at, bytes, (uint64_t)written);
    pthread_mutex_unlock(&turn);
    return written;
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) { return pwrite64(fd, bytes, length, at); }

static int synced(int fd, int (*real)(int)) {
    pthread_mutex_lock(&turn);
    int failed = real(fd);
    if (!failed) record_fd('S', fd, 0, NULL, 0);
    pthread_mutex_unlock(&turn);
    return failed;
}

int fsync(int fd) { return synced(fd, real_fsync); }

int fdatasync(int fd) { return synced(fd, real_fdatasync); }

int ftruncate64(int fd, off_t length) {
    pthread_mutex_lock(&turn);
    int failed = real_ftruncate(fd, length);
    if (!failed) record_fd('T', fd, (uint64_t)length, NULL, 0);
    pthread_mutex_unlock(&turn);
    return failed;
}

int ftruncate(int fd, off_t length) { return ftruncate64(fd, length); }

int unlink(const char *path) {
    pthread_mutex_lock(&turn);
    int failed = real_unlink(path);
    if (!failed) record('U', path, 0, NULL, 0);
    pthread_mutex_unlock(&turn);
    return failed;
}
