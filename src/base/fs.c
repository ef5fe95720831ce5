#include "base/fs.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_CHUNK ((size_t)1 << 20)

realm_status rl_fs_errno_status(int errnum)
{
    return errnum == ENOSPC || errnum == EDQUOT || errnum == EFBIG ? REALM_EDISK : REALM_EIO;
}

static realm_status fail_errno(realm_error *err, const char *path)
{
    realm_status st =
        errno == ENOENT || errno == ENOTDIR ? REALM_ENOTFOUND : rl_fs_errno_status(errno);

    return realm_fail(err, st, "%s: %s", path, strerror(errno));
}

static int64_t to_ns(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static realm_status to_id(const struct stat *sb, const char *path, rl_file_id *id, realm_error *err)
{
    if (!S_ISREG(sb->st_mode))
        return realm_fail(err, REALM_EINVAL, "%s: not a regular file", path);
    *id = (rl_file_id){ .dev = (int64_t)sb->st_dev,
                        .ino = (int64_t)sb->st_ino,
                        .size = sb->st_size,
                        .mtime_ns = to_ns(sb->st_mtim),
                        .ctime_ns = to_ns(sb->st_ctim) };
    return REALM_OK;
}

realm_status rl_fs_identify(const char *path, rl_file_id *id, realm_error *err)
{
    struct stat sb;

    return stat(path, &sb) < 0 ? fail_errno(err, path) : to_id(&sb, path, id, err);
}

realm_status rl_fs_identify_fd(int fd, const char *path, rl_file_id *id, realm_error *err)
{
    struct stat sb;

    return fstat(fd, &sb) < 0 ? fail_errno(err, path) : to_id(&sb, path, id, err);
}

bool rl_file_id_same(const rl_file_id *a, const rl_file_id *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

realm_status rl_fs_open(const char *path, int *fd, rl_file_id *id, realm_error *err)
{
    realm_status st;

    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0)
        return fail_errno(err, path);
    st = rl_fs_identify_fd(*fd, path, id, err);
    if (st != REALM_OK) {
        (void)close(*fd);
        *fd = -1;
    }
    return st;
}

realm_status rl_fs_read_at(int fd, const char *path, uint64_t offset, void *out, size_t n,
                           realm_error *err)
{
    char *p = out;

    while (n) {
        ssize_t k = pread(fd, p, n, (off_t)offset);

        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return realm_fail(err, REALM_EIO, "%.120s: byte %llu: %s", path,
                              (unsigned long long)offset, strerror(errno));
        if (k == 0)
            return realm_fail(err, REALM_ECONFLICT,
                              "%.120s: byte %llu: the file ends here and was longer when it was "
                              "opened; leave it alone and try again",
                              path, (unsigned long long)offset);
        p += k;
        offset += (uint64_t)k;
        n -= (size_t)k;
    }
    return REALM_OK;
}

/* Calls `feed` with every chunk of the file. */
static realm_status each_chunk(int fd, const char *path, char *chunk,
                               realm_status (*feed)(void *, const char *, size_t), void *ctx,
                               realm_error *err)
{
    for (;;) {
        ssize_t n = read(fd, chunk, READ_CHUNK);
        realm_status st;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail_errno(err, path);
        if (n == 0)
            return REALM_OK;
        st = feed(ctx, chunk, (size_t)n);
        if (st != REALM_OK)
            return realm_fail(err, st, "%s: %s", path, realm_status_text(st));
    }
}

static realm_status walk_file(const char *path, realm_status (*feed)(void *, const char *, size_t),
                              void *ctx, uint64_t *total, realm_error *err)
{
    rl_file_id id = { .dev = 0 };
    int fd = -1;
    realm_status st = rl_fs_open(path, &fd, &id, err);
    char *chunk;

    if (st != REALM_OK)
        return st;
    *total = (uint64_t)id.size;
    chunk = rl_alloc(READ_CHUNK);
    st = chunk ? each_chunk(fd, path, chunk, feed, ctx, err)
               : realm_fail(err, REALM_ENOMEM, "%s: no memory", path);
    rl_free(chunk);
    (void)close(fd);
    return st;
}

static realm_status feed_buf(void *ctx, const char *p, size_t n)
{
    return rl_buf_add(ctx, p, n);
}

realm_status rl_fs_read(const char *path, rl_buf *out, realm_error *err)
{
    uint64_t total;

    return walk_file(path, feed_buf, out, &total, err);
}

bool rl_fs_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

realm_status rl_fs_sync_parent(const char *path, realm_error *err)
{
    const char *slash = strrchr(path, '/');
    char *dir =
        slash ? rl_strndup(path, slash == path ? 1 : (size_t)(slash - path)) : rl_strdup(".");
    int fd;

    if (!dir)
        return realm_fail(err, REALM_ENOMEM, "%s: no memory", path);
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rl_free(dir);
    if (fd < 0 || fsync(fd) < 0) {
        realm_status st = fail_errno(err, path);

        if (fd >= 0)
            (void)close(fd);
        return st;
    }
    (void)close(fd);
    return REALM_OK;
}

static int write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t k = write(fd, p, n);

        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return -1;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

realm_status rl_fs_write(const char *path, const void *data, size_t n, realm_error *err)
{
    realm_status st = REALM_OK;
    rl_buf tmp;
    int fd;

    rl_buf_init(&tmp, 4096);
    (void)rl_buf_addf(&tmp, "%s.XXXXXX", path);
    if (tmp.failed) {
        rl_buf_deinit(&tmp);
        return realm_fail(err, REALM_ENOMEM, "%s: path too long", path);
    }
    fd = mkostemp(tmp.data, O_CLOEXEC);
    if (fd < 0 || write_all(fd, data, n) < 0 || fsync(fd) < 0 || rename(tmp.data, path) < 0) {
        st = fail_errno(err, path);
        if (fd >= 0)
            (void)unlink(tmp.data);
    }
    if (fd >= 0)
        (void)close(fd);
    rl_buf_deinit(&tmp);
    return st == REALM_OK ? rl_fs_sync_parent(path, err) : st;
}

realm_status rl_fs_mkdirs(const char *path, realm_error *err)
{
    realm_status st = REALM_OK;
    char *p = rl_strdup(path);

    if (!p)
        return realm_fail(err, REALM_ENOMEM, "%s: no memory", path);
    for (char *s = p + 1; st == REALM_OK; s++) {
        char c = *s;

        if (c && c != '/')
            continue;
        *s = 0;
        if (mkdir(p, 0700) < 0 && errno != EEXIST)
            st = fail_errno(err, p);
        *s = c;
        if (!c)
            break;
    }
    rl_free(p);
    return st;
}

typedef struct hashing {
    EVP_MD_CTX *md; /* owned */
    rl_progress_fn progress;
    void *ctx;
    uint64_t done, total;
} hashing;

static realm_status feed_hash(void *ctx, const char *p, size_t n)
{
    hashing *h = ctx;

    if (EVP_DigestUpdate(h->md, p, n) != 1)
        return REALM_ENOMEM;
    h->done += n;
    if (h->progress && h->progress(h->ctx, h->done, h->total))
        return REALM_ECANCELLED;
    return REALM_OK;
}

void rl_sha256_hex(const uint8_t digest[32], char hex[RL_SHA256_HEX])
{
    static const char digits[] = "0123456789abcdef";

    for (int i = 0; i < 32; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[64] = 0;
}

realm_status rl_fs_sha256(const char *path, char hex[RL_SHA256_HEX], rl_progress_fn progress,
                          void *ctx, realm_error *err)
{
    hashing h = { .md = EVP_MD_CTX_new(), .progress = progress, .ctx = ctx };
    unsigned char digest[EVP_MAX_MD_SIZE];
    realm_status st;

    if (!h.md || EVP_DigestInit_ex(h.md, EVP_sha256(), NULL) != 1) {
        EVP_MD_CTX_free(h.md);
        return realm_fail(err, REALM_ENOMEM, "%s: no memory", path);
    }
    st = walk_file(path, feed_hash, &h, &h.total, err);
    if (st == REALM_OK && EVP_DigestFinal_ex(h.md, digest, NULL) != 1)
        st = realm_fail(err, REALM_ENOMEM, "%s: no memory", path);
    if (st == REALM_OK)
        rl_sha256_hex(digest, hex);
    EVP_MD_CTX_free(h.md);
    return st;
}

void rl_sha256(const void *data, size_t n, char hex[RL_SHA256_HEX])
{
    unsigned char digest[EVP_MAX_MD_SIZE];

    RL_ASSERT(EVP_Digest(data, n, digest, NULL, EVP_sha256(), NULL) == 1);
    rl_sha256_hex(digest, hex);
}

/* The second number of statm: pages. */
uint64_t rl_fs_resident(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    char line[128] = "";
    const char *second;
    size_t n;

    if (!f)
        return 0;
    n = fread(line, 1, sizeof line - 1, f);
    (void)fclose(f);
    line[n] = 0;
    second = strchr(line, ' ');
    return second ? strtoull(second, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}
