/* realm verify: reads a packed file through and compares its digest. */
#include "model/model.h"
#include "model/packfile.h"

#include "base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define CHUNK ((size_t)1 << 20)

typedef struct reading {
    const char *path;
    int fd;
    uint64_t offset, total; /* of the body in the file */
    rl_progress_fn progress;
    void *ctx;
} reading;

/* Reads by pread, not through the mapping: a failing disk is then a status, not a signal. */
static realm_status digest_body(const reading *r, rl_digest *d, uint8_t *chunk, realm_error *err)
{
    for (uint64_t done = 0; done < r->total;) {
        size_t want = r->total - done < CHUNK ? (size_t)(r->total - done) : CHUNK;
        ssize_t n = pread(r->fd, chunk, want, (off_t)(r->offset + done));

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return realm_fail(err, REALM_EIO, "%s: %s", r->path,
                              n < 0 ? strerror(errno) : "the file ends too early");
        rl_digest_add(d, chunk, (size_t)n);
        done += (uint64_t)n;
        if (r->progress && r->progress(r->ctx, done, r->total))
            return realm_fail(err, REALM_ECANCELLED, "%s: verification was stopped", r->path);
    }
    return REALM_OK;
}

static realm_status verify_body(const rl_packfile *f, reading *r, realm_error *err)
{
    uint8_t *chunk = rl_alloc(CHUNK), digest[RL_DIGEST_BYTES];
    rl_digest d;
    realm_status st;

    if (!chunk)
        return realm_fail(err, REALM_ENOMEM, "%s: no memory", r->path);
    rl_digest_begin(&d);
    st = digest_body(r, &d, chunk, err);
    if (!rl_digest_end(&d, digest) && st == REALM_OK)
        st = realm_fail(err, REALM_ENOMEM, "%s: no memory", r->path);
    if (st == REALM_OK && memcmp(digest, f->header->body_digest, sizeof digest) != 0)
        st = realm_fail(
            err, REALM_EINVAL,
            "%s: its tensors or tables are damaged; remove the model and import it again", r->path);
    rl_free(chunk);
    return st;
}

realm_status rl_model_verify(const char *packed_path, rl_progress_fn progress, void *ctx,
                             realm_error *err)
{
    rl_packfile f;
    realm_status st = rl_packfile_open(&f, packed_path, err);
    reading r = { .path = packed_path, .progress = progress, .ctx = ctx };

    if (st != REALM_OK)
        return st;
    r.offset = f.header->body_offset;
    r.total = f.bytes - f.header->body_offset;
    r.fd = open(packed_path, O_RDONLY | O_CLOEXEC);
    if (r.fd < 0) {
        st = realm_fail(err, REALM_EIO, "%s: %s", packed_path, strerror(errno));
    } else {
        st = verify_body(&f, &r, err);
        (void)close(r.fd);
    }
    rl_packfile_close(&f);
    return st;
}
