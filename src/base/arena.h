/* Arena: many small allocations with one lifetime (a loaded model, a request), freed together.
 * Not thread safe; one owner at a time. */
#ifndef RL_BASE_ARENA_H
#define RL_BASE_ARENA_H

#include <stddef.h>

typedef struct rl_arena {
    struct rl_arena_chunk *chunks; /* owned; newest first */
    size_t used, cap;
} rl_arena; /* all zero is an empty arena */

void *rl_arena_alloc(rl_arena *a, size_t bytes); /* zeroed, 64-byte aligned; or NULL */
void *rl_arena_alloc_array(rl_arena *a, size_t n, size_t item_bytes);
char *rl_arena_strndup(rl_arena *a, const char *s, size_t n); /* adds a NUL */
void rl_arena_deinit(rl_arena *a);                            /* frees all; usable again */

#endif
