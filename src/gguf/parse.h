/* What gguf.c (opening, getters) and parse.c (checking) share; nobody else includes it. */
#ifndef RL_GGUF_PARSE_H
#define RL_GGUF_PARSE_H

#include "base/fs.h"
#include "gguf/index.h"

struct rl_gguf {
    const uint8_t *base; /* the file's first byte: the caller's, or `copy` */
    size_t loaded;       /* bytes at base; all of them when they are the caller's */
    size_t n;            /* bytes of the file */
    uint8_t *copy;       /* owned; [loaded] the file's beginning, with all metadata */
    char *path;          /* owned; of the file, for messages */
    int fd;              /* owned; -1 without a file */
    rl_file_id id;       /* of the file when it was opened */
    size_t wanted;       /* bytes from base on that parsing needs: after RL_GGUF_MORE */
    bool has_data;       /* false: a view of the metadata alone */
    uint64_t data_start; /* offset of the data section */
    uint32_t version;
    uint32_t alignment;
    size_t metadata_bytes;
    uint32_t n_kv, n_tensors;
    rl_gguf_kv *kvs;         /* owned; [n_kv] */
    rl_gguf_tensor *tensors; /* owned; [n_tensors] */
    rl_gguf_index keys;      /* over kvs[].key */
    rl_gguf_index names;     /* over tensors[].name */
    rl_text attached;        /* borrowed; rl_gguf_attach */
};

#define RL_GGUF_METADATA_MAX ((size_t)256 << 20) /* 20 times the largest vocabulary known */

/* Nothing is said of the file yet: more of it is needed. Never leaves this room. */
#define RL_GGUF_MORE ((realm_status)1)

/* Checks g->base[0..loaded) and fills everything else. On failure what was filled stays for
 * rl_gguf_close. -> OK | EINVAL | ENOMEM | RL_GGUF_MORE: load g->wanted bytes (<= n, > loaded) and
 * parse again from the start; not when all n are loaded. */
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
