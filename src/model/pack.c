/* Import: a checked GGUF file becomes a packed file. Streams panel by panel through small buffers,
 * so memory does not grow with the model; written beside its name, synced, then renamed, so that a
 * reader sees the whole file or none. The packed tensors lie in the order of the source's, which is
 * therefore read once, front to back (source.h). */
#include "model/metadata.h"
#include "model/model.h"
#include "model/packfile.h"
#include "model/source.h"
#include "model/tensors.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Written in pieces of this size and alignment, so that a file system which can will keep the file
 * in large pages; see map_aligned in packfile.c. */
#define PIECE ((size_t)2 << 20)

typedef struct packer {
    const rl_gguf *g;     /* borrowed */
    rl_slots slots;       /* in the order of the table */
    rl_slot **order;      /* owned; [slots.n] in the order of the source, and so of the data */
    rl_pack_entry *table; /* owned; [slots.n] */
    rl_buf metadata;      /* owned; what loading reads */
    rl_source source;
    char *sha256; /* [RL_SHA256_HEX] of the source, at the end */
    int fd;
    uint8_t *piece;       /* owned [PIECE]; the bytes from `flushed` on */
    uint64_t at, flushed; /* offsets in the file: the end of the body so far, and what is written */
    const char *path;     /* for messages */
    rl_digest digest;     /* of the body so far */
    uint64_t total;       /* bytes of the packed file */
    realm_error *err;
} packer;

realm_status rl_model_check(const rl_gguf *g, realm_error *err)
{
    const rl_arch *arch;
    rl_params p;
    rl_slots slots;
    realm_status st = rl_params_read(g, &arch, &p, err);

    if (st == REALM_OK)
        st = rl_slots_init(&slots, g, arch, &p, err);
    if (st == REALM_OK)
        rl_slots_deinit(&slots);
    return st;
}

static realm_status fail_write(const packer *pk)
{
    realm_status st = rl_fs_errno_status(errno);

    if (st == REALM_EDISK)
        return realm_fail(pk->err, st,
                          "%s: no room for %llu bytes: free disk space or remove models", pk->path,
                          (unsigned long long)pk->total);
    return realm_fail(pk->err, st, "%s: %s", pk->path, strerror(errno));
}

static realm_status write_at(packer *pk, uint64_t at, const void *data, size_t n)
{
    const uint8_t *p = data;

    while (n) {
        ssize_t k = pwrite(pk->fd, p, n, (off_t)at);

        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            return fail_write(pk);
        p += k;
        at += (uint64_t)k;
        n -= (size_t)k;
    }
    return REALM_OK;
}

static realm_status flush(packer *pk)
{
    realm_status st = write_at(pk, pk->flushed, pk->piece, (size_t)(pk->at - pk->flushed));

    pk->flushed = pk->at;
    return st;
}

/* Puts bytes behind the body so far; a piece ends where its offset is a multiple of PIECE. */
static realm_status append(packer *pk, const uint8_t *p, size_t n)
{
    realm_status st = REALM_OK;

    while (st == REALM_OK && n) {
        size_t room = PIECE - (size_t)(pk->at % PIECE), k = n < room ? n : room;

        memcpy(pk->piece + (pk->at - pk->flushed), p, k);
        pk->at += k;
        p += k;
        n -= k;
        if (pk->at % PIECE == 0)
            st = flush(pk);
    }
    return st;
}

/* Appends n bytes to the body. */
static realm_status emit(packer *pk, const void *p, size_t n)
{
    rl_digest_add(&pk->digest, p, n);
    return append(pk, p, n);
}

static realm_status emit_matrix(packer *pk, const rl_slot *s, uint8_t *buf)
{
    size_t row = rl_type_row_bytes(s->t->type, s->k);
    size_t panel = rl_panel_bytes(s->t->type, s->k);
    realm_status st = REALM_OK;

    for (uint32_t r = 0; st == REALM_OK && r < s->n; r += RL_PANEL_ROWS) {
        uint32_t n = s->n - r < RL_PANEL_ROWS ? s->n - r : RL_PANEL_ROWS;
        const uint8_t *rows;

        st = rl_source_take(&pk->source, n * row, &rows, pk->err);
        if (st != REALM_OK)
            break;
        rl_panel_pack(s->t->type, s->k, n, rows, row, buf);
        st = emit(pk, buf, panel);
    }
    return st;
}

static realm_status emit_vector(packer *pk, const rl_slot *s, uint8_t *buf)
{
    const uint8_t *values;
    realm_status st = rl_source_take(&pk->source, (size_t)s->t->bytes, &values, pk->err);

    if (st != REALM_OK)
        return st;
    /* the buffer was checked when it was made:
     * NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
    memset(buf, 0, s->bytes);
    rl_dequant(s->t->type, values, s->k, (float *)(void *)buf);
    return emit(pk, buf, s->bytes);
}

/* The most that one panel or vector takes from the source, and makes in the packed file. */
static void most_bytes(const rl_slots *slots, size_t *in, size_t *out)
{
    *in = *out = 0;
    for (uint32_t i = 0; i < slots->n; i++) {
        const rl_slot *s = &slots->items[i];
        size_t from = s->n ? RL_PANEL_ROWS * rl_type_row_bytes(s->t->type, s->k) : s->t->bytes;
        size_t to = s->n ? rl_panel_bytes(s->t->type, s->k) : (size_t)s->bytes;

        *in = from > *in ? from : *in;
        *out = to > *out ? to : *out;
    }
}

static int by_offset(const void *a, const void *b)
{
    const rl_slot *const *x = a, *const *y = b;
    uint64_t p = (*x)->t->offset, q = (*y)->t->offset;

    return p < q ? -1 : p > q;
}

/* Gives every tensor its place. Tensors that share bytes cannot be read in one go; no writer of the
 * format makes them. */
static realm_status arrange(packer *pk, uint64_t *data_bytes)
{
    uint64_t at = 0, end = 0;

    RL_ASSERT(pk->table && pk->order);
    for (uint32_t i = 0; i < pk->slots.n; i++)
        pk->order[i] = &pk->slots.items[i];
    qsort(pk->order, pk->slots.n, sizeof(rl_slot *), by_offset);
    for (uint32_t i = 0; i < pk->slots.n; i++) {
        const rl_slot *s = pk->order[i];

        if (s->t->offset < end)
            return realm_fail(pk->err, REALM_EINVAL,
                              "not a good GGUF file: tensor %.*s overlaps another",
                              (int)s->t->name.n, s->t->name.p);
        end = s->t->offset + s->t->bytes;
        pk->table[s - pk->slots.items] = (rl_pack_entry){ .offset = at, .bytes = s->bytes };
        at += s->bytes; /* a multiple of 64 */
    }
    *data_bytes = at;
    return REALM_OK;
}

/* Zeros to an offset that is less than a page away. */
static realm_status emit_zeros(packer *pk, uint64_t to)
{
    static const uint8_t zeros[RL_PACK_PAGE];

    return emit(pk, zeros, (size_t)(to - pk->at));
}

/* What comes before the tensors. */
static realm_status emit_tables(packer *pk, const rl_pack_header *h)
{
    realm_status st = emit(pk, rl_gguf_bytes(pk->g), (size_t)h->whole_bytes);

    if (st == REALM_OK)
        st = emit_zeros(pk, h->tables_offset);
    if (st == REALM_OK && h->tables_bytes)
        st = emit(pk, rl_gguf_attached(pk->g).p, (size_t)h->tables_bytes);
    return st == REALM_OK ? emit_zeros(pk, h->data_offset) : st;
}

static realm_status emit_all(packer *pk, const rl_pack_header *h, uint8_t *buf)
{
    uint64_t data = rl_gguf_data_offset(pk->g);
    realm_status st = emit_tables(pk, h);

    for (uint32_t i = 0; st == REALM_OK && i < pk->slots.n; i++) {
        const rl_slot *s = pk->order[i];

        st = rl_source_skip(&pk->source, data + s->t->offset, pk->err);
        if (st == REALM_OK)
            st = s->n ? emit_matrix(pk, s, buf) : emit_vector(pk, s, buf);
    }
    if (st == REALM_OK)
        st = flush(pk);
    return st == REALM_OK ? rl_source_end(&pk->source, pk->sha256, pk->err) : st;
}

static realm_status emit_body(packer *pk, const rl_pack_header *h, rl_progress_fn progress,
                              void *ctx)
{
    size_t in, out;
    uint8_t *buf;
    realm_status st;

    most_bytes(&pk->slots, &in, &out);
    buf = rl_alloc_aligned(64, out);
    pk->piece = rl_alloc(PIECE);
    pk->at = pk->flushed = h->body_offset;
    st = rl_source_open(&pk->source, pk->g, in, pk->err);
    pk->source.progress = progress;
    pk->source.ctx = ctx;
    if (st == REALM_OK && (!buf || !pk->piece))
        st = realm_fail(pk->err, REALM_ENOMEM, "%s: no memory", pk->path);
    if (st == REALM_OK)
        st = emit_all(pk, h, buf);
    rl_source_close(&pk->source);
    rl_free(pk->piece);
    rl_free(buf);
    return st;
}

/* Without tables the metadata is all of the source's. */
static realm_status make_metadata(packer *pk, realm_error *err)
{
    rl_buf_init(&pk->metadata, SIZE_MAX / 4);
    if (rl_gguf_attached(pk->g).n)
        return rl_metadata_short(pk->g, &pk->metadata, err);
    (void)rl_buf_add(&pk->metadata, rl_gguf_bytes(pk->g), rl_gguf_metadata_bytes(pk->g));
    return pk->metadata.failed ? realm_fail(err, REALM_ENOMEM, "%s: no memory", pk->path)
                               : REALM_OK;
}

static uint64_t round_up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

/* Gives every part but the data, whose size is known, its place. */
static void place(packer *pk, rl_pack_header *h)
{
    h->metadata_offset = round_up(sizeof *h + pk->slots.n * sizeof *pk->table, 64);
    h->metadata_bytes = pk->metadata.len;
    h->body_offset = round_up(h->metadata_offset + h->metadata_bytes, RL_PACK_PAGE);
    h->tables_bytes = rl_gguf_attached(pk->g).n;
    h->whole_bytes = h->tables_bytes ? rl_gguf_metadata_bytes(pk->g) : 0;
    h->tables_offset = round_up(h->body_offset + h->whole_bytes, 64);
    h->data_offset = round_up(h->tables_offset + h->tables_bytes, RL_PACK_PAGE);
    pk->total = h->data_offset + h->data_bytes;
}

/* The body first: the header tells its digest. */
static realm_status write_pack(packer *pk, rl_progress_fn progress, void *ctx)
{
    rl_pack_header h = { .magic = RL_PACK_MAGIC,
                         .layout = RL_PACK_LAYOUT,
                         .header_bytes = sizeof h,
                         .n_tensors = pk->slots.n,
                         .table_offset = sizeof h };
    const uint8_t *metadata = (const uint8_t *)pk->metadata.data;
    realm_status st = arrange(pk, &h.data_bytes);

    if (st != REALM_OK)
        return st;
    place(pk, &h);
    /* Reserving the room at once finds a full disk before the work; not every file system can. */
    if (fallocate(pk->fd, 0, 0, (off_t)pk->total) < 0 && rl_fs_errno_status(errno) == REALM_EDISK)
        return fail_write(pk);
    rl_digest_begin(&pk->digest);
    st = emit_body(pk, &h, progress, ctx);
    memcpy(h.source, pk->sha256, sizeof h.source);
    if (!rl_digest_end(&pk->digest, h.body_digest) && st == REALM_OK)
        st = realm_fail(pk->err, REALM_ENOMEM, "%s: no memory", pk->path);
    if (st == REALM_OK && !rl_packfile_head_digest(&h, pk->table, metadata, h.head_digest))
        st = realm_fail(pk->err, REALM_ENOMEM, "%s: no memory", pk->path);
    if (st == REALM_OK)
        st = write_at(pk, h.table_offset, pk->table, pk->slots.n * sizeof *pk->table);
    if (st == REALM_OK)
        st = write_at(pk, h.metadata_offset, metadata, (size_t)h.metadata_bytes);
    return st == REALM_OK ? write_at(pk, 0, &h, sizeof h) : st;
}

/* Makes the new file and has it written. */
static realm_status write_file(packer *pk, rl_packed *out, rl_progress_fn progress, void *ctx)
{
    rl_buf name;
    realm_status st;

    rl_buf_init(&name, 4096);
    (void)rl_buf_addf(&name, "%s.XXXXXX", pk->path);
    out->path = rl_buf_take(&name);
    rl_buf_deinit(&name);
    if (!out->path)
        return realm_fail(pk->err, REALM_ENOMEM, "%s: too long, or no memory", pk->path);
    pk->fd = mkostemp(out->path, O_CLOEXEC);
    if (pk->fd < 0) {
        st = fail_write(pk);
        rl_free(out->path); /* no file to remove */
        out->path = NULL;
        return st;
    }
    st = write_pack(pk, progress, ctx);
    if (st == REALM_OK && fsync(pk->fd) < 0)
        st = fail_write(pk);
    if (close(pk->fd) < 0 && st == REALM_OK)
        st = fail_write(pk);
    return st;
}

realm_status rl_model_pack(rl_packed *out, const rl_gguf *g, const char *beside,
                           rl_progress_fn progress, void *ctx, realm_error *err)
{
    packer pk = { .g = g, .fd = -1, .path = beside, .sha256 = out->sha256, .err = err };
    const rl_arch *arch;
    rl_params p;
    realm_status st;

    *out = (rl_packed){ .path = NULL };
    st = rl_params_read(g, &arch, &p, err);
    if (st == REALM_OK)
        st = rl_slots_init(&pk.slots, g, arch, &p, err);
    if (st != REALM_OK)
        return st;
    pk.table = rl_alloc_array(pk.slots.n, sizeof *pk.table);
    pk.order = rl_alloc_array(pk.slots.n, sizeof(rl_slot *));
    st = pk.table && pk.order ? make_metadata(&pk, err)
                              : realm_fail(err, REALM_ENOMEM, "%s: no memory", beside);
    if (st == REALM_OK)
        st = write_file(&pk, out, progress, ctx);
    rl_buf_deinit(&pk.metadata);
    rl_free(pk.table);
    rl_free(pk.order);
    rl_slots_deinit(&pk.slots);
    if (st != REALM_OK)
        rl_packed_drop(out);
    return st;
}

realm_status rl_packed_keep(rl_packed *p, const char *path, realm_error *err)
{
    if (rename(p->path, path) < 0)
        return realm_fail(err, rl_fs_errno_status(errno), "%s: %s", path, strerror(errno));
    rl_free(p->path);
    p->path = NULL;
    return rl_fs_sync_parent(path, err);
}

void rl_packed_drop(rl_packed *p)
{
    if (p->path)
        (void)unlink(p->path);
    rl_free(p->path);
    p->path = NULL;
}
