/* A small GGUF writer for tests: appends records to a fixed buffer and knows where each began. */
#ifndef TEST_GGUF_BUILD_H
#define TEST_GGUF_BUILD_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct build {
    uint8_t bytes[4096];
    size_t n;
} build;

static inline void put(build *b, const void *p, size_t n)
{
    if (n > sizeof b->bytes - b->n)
        n = sizeof b->bytes - b->n;
    memcpy(b->bytes + b->n, p, n);
    b->n += n;
}

static inline void put_int(build *b, uint64_t v, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++) {
        uint8_t byte = (uint8_t)(v >> (8 * i));

        put(b, &byte, 1);
    }
}

static inline void put_text(build *b, const char *s)
{
    put_int(b, strlen(s), 8);
    put(b, s, strlen(s));
}

static inline void put_header(build *b, uint32_t version, uint64_t n_tensors, uint64_t n_kv)
{
    put(b, "GGUF", 4);
    put_int(b, version, 4);
    put_int(b, n_tensors, 8);
    put_int(b, n_kv, 8);
}

/* The beginning of a pair: key and kind. The value follows. */
static inline void put_key(build *b, const char *key, uint32_t kind)
{
    put_text(b, key);
    put_int(b, kind, 4);
}

static inline void put_tensor(build *b, const char *name, uint32_t n_dims, const uint64_t *dims,
                              uint32_t type, uint64_t offset)
{
    put_text(b, name);
    put_int(b, n_dims, 4);
    for (uint32_t i = 0; i < n_dims; i++)
        put_int(b, dims[i], 8);
    put_int(b, type, 4);
    put_int(b, offset, 8);
}

static inline void pad(build *b, size_t align)
{
    while (b->n % align)
        put_int(b, 0, 1);
}

#endif
