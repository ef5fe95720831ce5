/* Files: whole reads with a cap, atomic writes, directories, digests. Any thread. */
#ifndef RL_BASE_FS_H
#define RL_BASE_FS_H

#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

/* Appends the whole regular file to `out`; over out->max is ETOOBIG. OK | ENOTFOUND | EIO | ... */
realm_status rl_fs_read(const char *path, rl_buf *out, realm_error *err) REALM_MUST_USE;

/* Writes next to `path`, fsyncs, renames over it, fsyncs the folder. Disk full is EDISK. */
realm_status rl_fs_write(const char *path, const void *data, size_t n,
                         realm_error *err) REALM_MUST_USE;

/* Reads exactly the n bytes at `offset` of an open file; path is for messages. A file that ends
 * earlier is ECONFLICT: the caller knows its size, so it was cut. OK | ECONFLICT | EIO */
realm_status rl_fs_read_at(int fd, const char *path, uint64_t offset, void *out, size_t n,
                           realm_error *err) REALM_MUST_USE;

/* Which file this is and in which state: who changes its bytes changes one of these. */
typedef struct rl_file_id {
    int64_t dev, ino, size, mtime_ns, ctime_ns;
} rl_file_id;

/* Of the regular file at `path`, or open as `fd`. OK | ENOTFOUND | EINVAL (not regular) | EIO */
realm_status rl_fs_identify(const char *path, rl_file_id *id, realm_error *err) REALM_MUST_USE;
realm_status rl_fs_identify_fd(int fd, const char *path, rl_file_id *id,
                               realm_error *err) REALM_MUST_USE;
/* Opens a regular file for reading; *fd -1 on failure. */
realm_status rl_fs_open(const char *path, int *fd, rl_file_id *id, realm_error *err) REALM_MUST_USE;
bool rl_file_id_same(const rl_file_id *a, const rl_file_id *b);

/* Creates `path` and its parents with mode 0700; existing folders are fine. */
realm_status rl_fs_mkdirs(const char *path, realm_error *err) REALM_MUST_USE;

bool rl_fs_exists(const char *path);

/* Makes a rename or a new file in the folder of `path` durable. */
realm_status rl_fs_sync_parent(const char *path, realm_error *err) REALM_MUST_USE;

/* Maps errno of a failed write to EDISK (ENOSPC, EDQUOT, EFBIG: a limit on files) or EIO. */
realm_status rl_fs_errno_status(int errnum);

/* Told now and then how far a long piece of work is; may be NULL. -> true to stop (ECANCELLED). */
typedef bool (*rl_progress_fn)(void *ctx, uint64_t done, uint64_t total);

#define RL_SHA256_HEX 65 /* 64 digits and a NUL */

/* SHA-256 of a file and of memory, as lower-case hex. */
realm_status rl_fs_sha256(const char *path, char hex[RL_SHA256_HEX], rl_progress_fn progress,
                          void *ctx, realm_error *err) REALM_MUST_USE;
void rl_sha256_hex(const uint8_t digest[32], char hex[RL_SHA256_HEX]);
void rl_sha256(const void *data, size_t n, char hex[RL_SHA256_HEX]);

/* Resident memory of this process in bytes; 0: the system does not tell. */
uint64_t rl_fs_resident(void);

#endif
