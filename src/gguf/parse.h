/* What gguf.c (opening, getters) and parse.c (checking) share; nobody else includes it. */
#ifndef RL_GGUF_PARSE_H
#define RL_GGUF_PARSE_H

#include "gguf/index.h"

struct rl_gguf {
    const uint8_t *base; /* the file's first byte: borrowed, or the mapping below */
    size_t n;            /* bytes at base */
    void *mapping;       /* owned, [n]; NULL when the bytes are the caller's */
    bool has_data;       /* false: a view of the metadata alone */
    uint32_t version;
    uint32_t alignment;
    size_t metadata_bytes;
    uint32_t n_kv, n_tensors;
    rl_gguf_kv *kvs;         /* owned; [n_kv] */
    rl_gguf_tensor *tensors; /* owned; [n_tensors] */
    rl_gguf_index keys;      /* over kvs[].key */
    rl_gguf_index names;     /* over tensors[].name */
};

/* Checks g->base[0..n) and fills everything else. On failure what was filled stays for
 * rl_gguf_close. -> OK | EINVAL | ENOMEM */
realm_status rl_gguf_parse(rl_gguf *g, realm_error *err) REALM_MUST_USE;

/* Little-endian numbers at any address. */
static inline uint32_t rl_gguf_le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t rl_gguf_le64(const uint8_t *p)
{
    return rl_gguf_le32(p) | (uint64_t)rl_gguf_le32(p + 4) << 32;
}

/* Bytes of one scalar of `kind`; 0 for strings and arrays. */
size_t rl_gguf_kind_bytes(rl_gguf_kind kind);

#endif
