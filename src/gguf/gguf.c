#include "gguf/gguf.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "gguf/parse.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static realm_status fail_errno(realm_error *err, const char *path)
{
    realm_status st = errno == ENOENT || errno == ENOTDIR ? REALM_ENOTFOUND : REALM_EIO;

    return realm_fail(err, st, "%s: %s", path, strerror(errno));
}

/* Maps the regular file of `fd` into g. An empty file cannot be mapped and is no GGUF. */
static realm_status map_file(rl_gguf *g, int fd, const char *path, realm_error *err)
{
    struct stat sb;

    if (fstat(fd, &sb) < 0)
        return fail_errno(err, path);
    if (!S_ISREG(sb.st_mode))
        return realm_fail(err, REALM_EINVAL, "%s: not a regular file", path);
    if (sb.st_size <= 0)
        return realm_fail(err, REALM_EINVAL, "%s: the file is empty", path);
    g->n = (size_t)sb.st_size;
    g->mapping = mmap(NULL, g->n, PROT_READ, MAP_PRIVATE, fd, 0);
    if (g->mapping == MAP_FAILED) {
        g->mapping = NULL;
        return fail_errno(err, path);
    }
    g->base = g->mapping;
    return REALM_OK;
}

/* Puts the path before the parser's sentence. */
static realm_status parse_named(rl_gguf *g, const char *path, realm_error *err)
{
    realm_error why;
    realm_status st = rl_gguf_parse(g, &why);

    if (st == REALM_OK)
        return st;
    return realm_fail(err, st, "%.90s%s: %.140s", strlen(path) > 90 ? "..." : "",
                      strlen(path) > 90 ? path + strlen(path) - 87 : path, why.text);
}

realm_status rl_gguf_open(rl_gguf **out, const char *path, realm_error *err)
{
    rl_gguf *g;
    realm_status st;
    int fd;

    *out = NULL;
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return fail_errno(err, path);
    g = rl_alloc(sizeof *g);
    if (!g) {
        st = realm_fail(err, REALM_ENOMEM, "%s: no memory", path);
    } else {
        g->has_data = true;
        st = map_file(g, fd, path, err);
        if (st == REALM_OK)
            st = parse_named(g, path, err);
    }
    (void)close(fd); /* the mapping outlives it */
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
    g->base = bytes;
    g->n = n;
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
    rl_gguf_index_deinit(&g->keys);
    rl_gguf_index_deinit(&g->names);
    rl_free(g->kvs);
    rl_free(g->tensors);
    if (g->mapping)
        (void)munmap(g->mapping, g->n);
    rl_free(g);
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
