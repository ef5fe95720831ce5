/* Import: a checked GGUF file becomes a packed file. Streams panel by panel through one buffer, so
 * memory does not grow with the model; written beside its name, synced, then renamed, so that a
 * reader sees the whole file or none. */
#include "model/model.h"
#include "model/packfile.h"
#include "model/tensors.h"

#include "base/alloc.h"

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
    int fd;
    uint8_t *piece;       /* owned [PIECE]; the bytes from `flushed` on */
    uint64_t at, flushed; /* offsets in the file: the end of the data so far, and what is written */
    const char *path;     /* for messages */
    rl_digest digest;     /* of the data so far */
    uint64_t done, total;
    rl_progress_fn progress;
    void *ctx;
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

/* Puts bytes behind the data so far; a piece ends where its offset is a multiple of PIECE. */
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

/* Appends n bytes of tensor data. */
static realm_status emit(packer *pk, const void *p, size_t n)
{
    realm_status st = append(pk, p, n);

    if (st != REALM_OK)
        return st;
    rl_digest_add(&pk->digest, p, n);
    pk->done += n;
    if (pk->progress && pk->progress(pk->ctx, pk->done, pk->total))
        return realm_fail(pk->err, REALM_ECANCELLED, "%s: packing was stopped", pk->path);
    return REALM_OK;
}

static realm_status emit_matrix(packer *pk, const rl_slot *s, uint8_t *buf)
{
    size_t row = rl_type_row_bytes(s->t->type, s->k);
    size_t panel = rl_panel_bytes(s->t->type, s->k);
    realm_status st = REALM_OK;

    for (uint32_t r = 0; st == REALM_OK && r < s->n; r += RL_PANEL_ROWS) {
        uint32_t n = s->n - r < RL_PANEL_ROWS ? s->n - r : RL_PANEL_ROWS;

        rl_panel_pack(s->t->type, s->k, n, s->t->data + (size_t)r * row, row, buf);
        st = emit(pk, buf, panel);
    }
    return st;
}

static realm_status emit_vector(packer *pk, const rl_slot *s, uint8_t *buf)
{
    /* the buffer was checked when it was made:
     * NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker) */
    memset(buf, 0, s->bytes);
    rl_dequant(s->t->type, s->t->data, s->k, (float *)(void *)buf);
    return emit(pk, buf, s->bytes);
}

static size_t buffer_bytes(const rl_slots *slots)
{
    size_t most = 0;

    for (uint32_t i = 0; i < slots->n; i++) {
        const rl_slot *s = &slots->items[i];
        size_t n = s->n ? rl_panel_bytes(s->t->type, s->k) : (size_t)s->bytes;

        most = n > most ? n : most;
    }
    return most;
}

static void fill_table(const rl_slots *slots, rl_pack_entry *table, uint64_t *total)
{
    uint64_t at = 0;

    for (uint32_t i = 0; i < slots->n; i++) {
        table[i] = (rl_pack_entry){ .offset = at, .bytes = slots->items[i].bytes };
        at += slots->items[i].bytes; /* a multiple of 64 */
    }
    *total = at;
}

static realm_status emit_tensors(packer *pk, const rl_slots *slots, uint64_t data_offset)
{
    uint8_t *buf = rl_alloc_aligned(64, buffer_bytes(slots));
    realm_status st = REALM_OK;

    pk->piece = rl_alloc(PIECE);
    pk->at = pk->flushed = data_offset;
    if (!buf || !pk->piece)
        st = realm_fail(pk->err, REALM_ENOMEM, "%s: no memory", pk->path);
    for (uint32_t i = 0; st == REALM_OK && i < slots->n; i++) {
        const rl_slot *s = &slots->items[i];

        st = s->n ? emit_matrix(pk, s, buf) : emit_vector(pk, s, buf);
    }
    if (st == REALM_OK)
        st = flush(pk);
    rl_free(pk->piece);
    rl_free(buf);
    return st;
}

/* The data first: the header tells its digest. */
static realm_status write_pack(packer *pk, const rl_gguf *g, const rl_slots *slots,
                               const char *sha256, rl_pack_entry *table)
{
    rl_pack_header h = { .magic = RL_PACK_MAGIC,
                         .layout = RL_PACK_LAYOUT,
                         .header_bytes = sizeof h,
                         .n_tensors = slots->n,
                         .table_offset = sizeof h,
                         .metadata_bytes = rl_gguf_metadata_bytes(g) };
    size_t table_bytes = slots->n * sizeof *table;
    realm_status st;

    fill_table(slots, table, &h.data_bytes);
    pk->total = h.data_bytes;
    memcpy(h.source, sha256, sizeof h.source);
    h.metadata_offset = (sizeof h + table_bytes + 63) / 64 * 64;
    h.data_offset =
        (h.metadata_offset + h.metadata_bytes + RL_PACK_PAGE - 1) / RL_PACK_PAGE * RL_PACK_PAGE;
    /* Reserving the room at once finds a full disk before the work; not every file system can. */
    if (fallocate(pk->fd, 0, 0, (off_t)(h.data_offset + h.data_bytes)) < 0 &&
        rl_fs_errno_status(errno) == REALM_EDISK)
        return fail_write(pk);
    rl_digest_begin(&pk->digest);
    st = emit_tensors(pk, slots, h.data_offset);
    if (!rl_digest_end(&pk->digest, h.data_digest) && st == REALM_OK)
        st = realm_fail(pk->err, REALM_ENOMEM, "%s: no memory", pk->path);
    if (st == REALM_OK && !rl_packfile_head_digest(&h, table, rl_gguf_bytes(g), h.head_digest))
        st = realm_fail(pk->err, REALM_ENOMEM, "%s: no memory", pk->path);
    if (st == REALM_OK)
        st = write_at(pk, h.table_offset, table, table_bytes);
    if (st == REALM_OK)
        st = write_at(pk, h.metadata_offset, rl_gguf_bytes(g), (size_t)h.metadata_bytes);
    return st == REALM_OK ? write_at(pk, 0, &h, sizeof h) : st;
}

/* Makes the temporary file, has it written, renames it. */
static realm_status write_file(packer *pk, const rl_gguf *g, const rl_slots *slots,
                               const char *sha256, rl_pack_entry *table)
{
    rl_buf tmp;
    realm_status st;

    rl_buf_init(&tmp, 4096);
    if (rl_buf_addf(&tmp, "%s.XXXXXX", pk->path) != REALM_OK) {
        rl_buf_deinit(&tmp);
        return realm_fail(pk->err, REALM_EINVAL, "the path of the packed file is too long");
    }
    pk->fd = mkostemp(tmp.data, O_CLOEXEC);
    if (pk->fd < 0) {
        st = fail_write(pk);
    } else {
        st = write_pack(pk, g, slots, sha256, table);
        if (st == REALM_OK && (fsync(pk->fd) < 0 || rename(tmp.data, pk->path) < 0))
            st = fail_write(pk);
        if (st != REALM_OK)
            (void)unlink(tmp.data);
        (void)close(pk->fd);
    }
    rl_buf_deinit(&tmp);
    return st == REALM_OK ? rl_fs_sync_parent(pk->path, pk->err) : st;
}

realm_status rl_model_pack(const rl_gguf *g, const char *sha256, const char *out_path,
                           rl_progress_fn progress, void *ctx, realm_error *err)
{
    packer pk = { .fd = -1, .path = out_path, .progress = progress, .ctx = ctx, .err = err };
    const rl_arch *arch;
    rl_params p;
    rl_slots slots;
    rl_pack_entry *table;
    realm_status st;

    if (strspn(sha256, "0123456789abcdef") != 64 || sha256[64])
        return realm_fail(err, REALM_EINVAL, "'%.70s' is no SHA-256 in lower-case hex", sha256);
    st = rl_params_read(g, &arch, &p, err);
    if (st == REALM_OK)
        st = rl_slots_init(&slots, g, arch, &p, err);
    if (st != REALM_OK)
        return st;
    table = rl_alloc_array(slots.n, sizeof *table);
    st = table ? write_file(&pk, g, &slots, sha256, table)
               : realm_fail(err, REALM_ENOMEM, "%s: no memory", out_path);
    rl_free(table);
    rl_slots_deinit(&slots);
    return st;
}
