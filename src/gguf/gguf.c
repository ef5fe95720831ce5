/* Opening: from the caller's memory, or from a file. A file may be changed, cut or replaced by
 * others at any time, so it is never mapped: its metadata is copied once, in pieces, and what was
 * checked is that copy; tensors are read when asked for, and a read that comes up short is an
 * error. */
#include "gguf/gguf.h"

#include "base/alloc.h"
#include "gguf/parse.h"

#include <string.h>
#include <unistd.h>

#define FIRST_READ ((size_t)8 << 20) /* the metadata of most models */

/* Puts the path before the parser's sentence. */
static realm_status parse_named(rl_gguf *g, realm_error *err)
{
    size_t n = strlen(g->path);
    realm_error why;
    realm_status st = rl_gguf_parse(g, &why);

    if (st == REALM_OK || st == RL_GGUF_MORE)
        return st;
    return realm_fail(err, st, "%.90s%s: %.140s", n > 90 ? "..." : "",
                      n > 90 ? g->path + n - 87 : g->path, why.text);
}

/* Extends the copy of the file's beginning to what is wanted; to twice of what there is at least,
 * so that parsing again from the start stays cheap. */
static realm_status load(rl_gguf *g, realm_error *err)
{
    size_t want = 2 * g->loaded > g->wanted ? 2 * g->loaded : g->wanted;
    uint8_t *more;
    realm_status st;

    if (want > RL_GGUF_METADATA_MAX)
        want = RL_GGUF_METADATA_MAX;
    if (want > g->n)
        want = g->n;
    more = rl_realloc(g->copy, want);
    if (!more)
        return realm_fail(err, REALM_ENOMEM, "%s: no memory for its metadata", g->path);
    g->base = g->copy = more;
    st = rl_fs_read_at(g->fd, g->path, g->loaded, more + g->loaded, want - g->loaded, err);
    if (st == REALM_OK)
        g->loaded = want;
    return st;
}

/* Drops what an unfinished parse made. */
static void forget(rl_gguf *g)
{
    rl_gguf_index_deinit(&g->keys);
    rl_gguf_index_deinit(&g->names);
    rl_free(g->kvs);
    rl_free(g->tensors);
    g->kvs = NULL;
    g->tensors = NULL;
}

static realm_status read_and_parse(rl_gguf *g, realm_error *err)
{
    realm_status st = rl_fs_open(g->path, &g->fd, &g->id, err);

    if (st != REALM_OK)
        return st;
    g->n = (size_t)g->id.size;
    if (g->n == 0)
        return realm_fail(err, REALM_EINVAL, "%s: the file is empty", g->path);
    g->wanted = FIRST_READ;
    do {
        st = load(g, err);
        if (st == REALM_OK) {
            forget(g);
            st = parse_named(g, err);
        }
    } while (st == RL_GGUF_MORE);
    return st;
}

realm_status rl_gguf_open(rl_gguf **out, const char *path, realm_error *err)
{
    rl_gguf *g = rl_alloc(sizeof *g);
    realm_status st;

    *out = NULL;
    if (!g)
        return realm_fail(err, REALM_ENOMEM, "%s: no memory", path);
    g->fd = -1;
    g->has_data = true;
    g->path = rl_strdup(path);
    st = g->path ? read_and_parse(g, err) : realm_fail(err, REALM_ENOMEM, "%s: no memory", path);
    if (st == REALM_OK)
        *out = g;
    else
        rl_gguf_close(g);
    return st;
}

realm_status rl_gguf_open_memory(rl_gguf **out, const void *bytes, size_t n, bool metadata_only,
                                 realm_error *err)
{
    rl_gguf *g = rl_alloc(sizeof *g);
    realm_status st;

    *out = NULL;
    if (!g)
        return realm_fail(err, REALM_ENOMEM, "no memory for a GGUF view");
    g->fd = -1;
    g->base = bytes;
    g->loaded = g->n = n;
    g->has_data = !metadata_only;
    st = rl_gguf_parse(g, err);
    if (st == REALM_OK)
        *out = g;
    else
        rl_gguf_close(g);
    return st;
}

void rl_gguf_close(rl_gguf *g)
{
    if (!g)
        return;
    forget(g);
    if (g->fd >= 0)
        (void)close(g->fd);
    rl_free(g->copy);
    rl_free(g->path);
    rl_free(g);
}

realm_status rl_gguf_read(const rl_gguf *g, uint64_t offset, void *out, size_t n, realm_error *err)
{
    if (offset > g->n || n > g->n - offset)
        return realm_fail(err, REALM_EINVAL, "bytes [%llu, +%zu) of a GGUF file of %zu",
                          (unsigned long long)offset, n, g->n);
    if (g->fd >= 0)
        return rl_fs_read_at(g->fd, g->path, offset, out, n, err);
    memcpy(out, g->base + offset, n);
    return REALM_OK;
}

const rl_file_id *rl_gguf_file_id(const rl_gguf *g)
{
    return g->fd >= 0 ? &g->id : NULL;
}

realm_status rl_gguf_check_unchanged(const rl_gguf *g, realm_error *err)
{
    rl_file_id now;
    realm_status st;

    if (g->fd < 0)
        return REALM_OK;
    st = rl_fs_identify_fd(g->fd, g->path, &now, err);
    if (st == REALM_OK && !rl_file_id_same(&now, &g->id))
        st = realm_fail(err, REALM_ECONFLICT,
                        "%.150s changed while it was read; leave it alone and try again", g->path);
    return st;
}

void rl_gguf_attach(rl_gguf *g, const void *p, size_t n)
{
    g->attached = (rl_text){ p, n };
}

rl_text rl_gguf_attached(const rl_gguf *g)
{
    return g->attached;
}

uint64_t rl_gguf_data_offset(const rl_gguf *g)
{
    return g->data_start;
}

uint32_t rl_gguf_version(const rl_gguf *g)
{
    return g->version;
}

uint64_t rl_gguf_file_bytes(const rl_gguf *g)
{
    return g->n;
}

size_t rl_gguf_metadata_bytes(const rl_gguf *g)
{
    return g->metadata_bytes;
}

const uint8_t *rl_gguf_bytes(const rl_gguf *g)
{
    return g->base;
}

uint32_t rl_gguf_n_kv(const rl_gguf *g)
{
    return g->n_kv;
}

const rl_gguf_kv *rl_gguf_kv_at(const rl_gguf *g, uint32_t i)
{
    return i < g->n_kv ? &g->kvs[i] : NULL;
}

const rl_gguf_kv *rl_gguf_find(const rl_gguf *g, const char *key)
{
    uint32_t i = rl_gguf_index_find(&g->keys, key, strlen(key));

    return i == RL_INDEX_NONE ? NULL : &g->kvs[i];
}

uint32_t rl_gguf_n_tensors(const rl_gguf *g)
{
    return g->n_tensors;
}

const rl_gguf_tensor *rl_gguf_tensor_at(const rl_gguf *g, uint32_t i)
{
    return i < g->n_tensors ? &g->tensors[i] : NULL;
}

const rl_gguf_tensor *rl_gguf_tensor_find(const rl_gguf *g, const char *name)
{
    uint32_t i = rl_gguf_index_find(&g->names, name, strlen(name));

    return i == RL_INDEX_NONE ? NULL : &g->tensors[i];
}
