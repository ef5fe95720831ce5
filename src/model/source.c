#include "model/source.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <string.h>

#define PIECE ((size_t)512 << 10) /* stays in a core's cache between hashing and packing */
#define ALIGN 64u

static uint64_t position(const rl_source *s)
{
    return s->at - s->n;
}

realm_status rl_source_open(rl_source *s, const rl_gguf *g, size_t most, realm_error *err)
{
    size_t metadata = rl_gguf_metadata_bytes(g);

    *s = (rl_source){ .g = g, .cap = ALIGN + most + PIECE, .at = metadata };
    s->buf = rl_alloc_aligned(ALIGN, s->cap);
    if (!s->buf)
        return realm_fail(err, REALM_ENOMEM, "no memory to read a model file");
    rl_digest_begin(&s->digest);
    rl_digest_add(&s->digest, rl_gguf_bytes(g), metadata);
    return REALM_OK;
}

void rl_source_close(rl_source *s)
{
    uint8_t unused[RL_DIGEST_BYTES];

    if (s->digest.md)
        (void)rl_digest_end(&s->digest, unused);
    rl_free(s->buf);
    s->buf = NULL;
}

/* Moves what is left to the front and reads on as far as there is room. */
static realm_status refill(rl_source *s, realm_error *err)
{
    size_t front = (size_t)(position(s) % ALIGN);
    uint64_t total = rl_gguf_file_bytes(s->g);
    size_t room = s->cap - front - s->n;
    size_t n = total - s->at < room ? (size_t)(total - s->at) : room;
    realm_status st;

    RL_ASSERT(n > 0); /* takes lie within the file: it was checked */
    memmove(s->buf + front, s->buf + s->head, s->n);
    s->head = front;
    st = rl_gguf_read(s->g, s->at, s->buf + s->head + s->n, n, err);
    if (st != REALM_OK)
        return st;
    rl_digest_add(&s->digest, s->buf + s->head + s->n, n);
    s->at += n;
    s->n += n;
    if (s->progress && s->progress(s->ctx, s->at, total))
        return realm_fail(err, REALM_ECANCELLED, "packing was stopped");
    return REALM_OK;
}

static void drop(rl_source *s, size_t n)
{
    s->head += n;
    s->n -= n;
}

realm_status rl_source_skip(rl_source *s, uint64_t offset, realm_error *err)
{
    realm_status st = REALM_OK;

    RL_ASSERT(offset >= position(s));
    while (offset > s->at && st == REALM_OK) {
        drop(s, s->n);
        st = refill(s, err);
    }
    if (st == REALM_OK)
        drop(s, (size_t)(offset - position(s)));
    return st;
}

realm_status rl_source_take(rl_source *s, size_t n, const uint8_t **out, realm_error *err)
{
    realm_status st = REALM_OK;

    RL_ASSERT(n <= s->cap - ALIGN - PIECE);
    while (s->n < n && st == REALM_OK)
        st = refill(s, err);
    *out = s->buf + s->head;
    if (st == REALM_OK)
        drop(s, n);
    return st;
}

realm_status rl_source_end(rl_source *s, char hex[RL_SHA256_HEX], realm_error *err)
{
    realm_status st = rl_source_skip(s, rl_gguf_file_bytes(s->g), err);
    uint8_t digest[RL_DIGEST_BYTES];

    if (st == REALM_OK)
        st = rl_gguf_check_unchanged(s->g, err);
    if (st != REALM_OK)
        return st;
    if (!rl_digest_end(&s->digest, digest))
        return realm_fail(err, REALM_ENOMEM, "no memory to hash a model file");
    rl_sha256_hex(digest, hex);
    return REALM_OK;
}
