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

/* Creates `path` and its parents with mode 0700; existing folders are fine. */
realm_status rl_fs_mkdirs(const char *path, realm_error *err) REALM_MUST_USE;

bool rl_fs_exists(const char *path);

/* Makes a rename or a new file in the folder of `path` durable. */
realm_status rl_fs_sync_parent(const char *path, realm_error *err) REALM_MUST_USE;

/* Maps errno of a failed write to EDISK (ENOSPC, EDQUOT) or EIO. */
realm_status rl_fs_errno_status(int errnum);

/* Told now and then how far a long piece of work is; may be NULL. -> true to stop (ECANCELLED). */
typedef bool (*rl_progress_fn)(void *ctx, uint64_t done, uint64_t total);

#define RL_SHA256_HEX 65 /* 64 digits and a NUL */

/* SHA-256 of a file and of memory, as lower-case hex. */
realm_status rl_fs_sha256(const char *path, char hex[RL_SHA256_HEX], rl_progress_fn progress,
                          void *ctx, realm_error *err) REALM_MUST_USE;
void rl_sha256(const void *data, size_t n, char hex[RL_SHA256_HEX]);

#endif
