#include "base/arena.h"

#include "base/alloc.h"

#include <stdint.h>
#include <string.h>

#define CHUNK_BYTES ((size_t)256 << 10)
#define ALIGN       ((size_t)64)

struct rl_arena_chunk {
    struct rl_arena_chunk *next;
    uint8_t pad[ALIGN - sizeof(void *)];
    uint8_t data[];
};

static int new_chunk(rl_arena *a, size_t bytes)
{
    size_t cap = bytes > CHUNK_BYTES ? bytes : CHUNK_BYTES;
    struct rl_arena_chunk *c = rl_alloc_aligned(ALIGN, sizeof *c + cap);

    if (!c)
        return 0;
    c->next = a->chunks;
    a->chunks = c;
    a->used = 0;
    a->cap = cap;
    return 1;
}

void *rl_arena_alloc(rl_arena *a, size_t bytes)
{
    size_t need = (bytes + ALIGN - 1) & ~(ALIGN - 1);
    void *p;

    if (need < bytes || need > SIZE_MAX / 2)
        return NULL;
    if ((!a->chunks || a->cap - a->used < need) && !new_chunk(a, need))
        return NULL;
    p = a->chunks->data + a->used;
    a->used += need;
    return p;
}

void *rl_arena_alloc_array(rl_arena *a, size_t n, size_t item_bytes)
{
    if (item_bytes && n > SIZE_MAX / item_bytes)
        return NULL;
    return rl_arena_alloc(a, n * item_bytes);
}

char *rl_arena_strndup(rl_arena *a, const char *s, size_t n)
{
    char *p = n < SIZE_MAX ? rl_arena_alloc(a, n + 1) : NULL;

    if (p)
        memcpy(p, s, n);
    return p;
}

void rl_arena_deinit(rl_arena *a)
{
    struct rl_arena_chunk *c = a->chunks, *next;

    for (; c; c = next) {
        next = c->next;
        rl_free(c);
    }
    *a = (rl_arena){ 0 };
}
