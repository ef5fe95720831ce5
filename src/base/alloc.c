#include "base/alloc.h"

#include "base/assert.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define HUGE_PAGE ((size_t)2 << 20)

void rl_assert_failed(const char *what, const char *file, int line)
{
    (void)fprintf(stderr, "realm: invariant broken: %s (%s:%d)\n", what, file, line);
    abort();
}

/* The call that fails, counted from 1; 0: none; below: ask the environment. */
static _Atomic long target = -1;
static _Atomic long calls;

static long asked_for(void)
{
    const char *s = getenv("REALM_FAIL_ALLOC");

    return s ? strtol(s, NULL, 10) : 0;
}

static int injected(void)
{
    long t = atomic_load_explicit(&target, memory_order_relaxed);

    if (t < 0) {
        t = asked_for();
        atomic_store(&target, t);
    }
    return t > 0 && atomic_fetch_add(&calls, 1) + 1 == t;
}

bool rl_alloc_fail_at(long k)
{
    long was = atomic_exchange(&target, 0);
    long n = atomic_exchange(&calls, 0);

    atomic_store(&target, k);
    return was > 0 && n >= was;
}

void *rl_alloc(size_t bytes)
{
    return injected() ? NULL : calloc(1, bytes ? bytes : 1);
}

void *rl_alloc_array(size_t n, size_t item_bytes)
{
    if (item_bytes && n > SIZE_MAX / item_bytes)
        return NULL;
    return rl_alloc(n * item_bytes);
}

void *rl_realloc(void *p, size_t bytes)
{
    return injected() ? NULL : realloc(p, bytes ? bytes : 1);
}

void *rl_alloc_aligned(size_t align, size_t bytes)
{
    void *p;
    size_t rounded = (bytes + align - 1) / align * align;

    RL_ASSERT(align >= 16 && (align & (align - 1)) == 0);
    if (rounded < bytes || injected())
        return NULL;
    p = aligned_alloc(align, rounded ? rounded : align);
    if (p)
        memset(p, 0, rounded);
    return p;
}

char *rl_strndup(const char *s, size_t n)
{
    char *p = rl_alloc(n + 1);

    if (p)
        memcpy(p, s, n);
    return p;
}

char *rl_strdup(const char *s)
{
    return rl_strndup(s, strlen(s));
}

void rl_free(void *p)
{
    free(p);
}

/* mmap gives 4 KiB alignment: ask for one huge page more and cut both ends off. */
void *rl_pages_map(size_t bytes)
{
    size_t want = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    uint8_t *raw;
    uintptr_t at;
    size_t head;

    if (want < bytes || injected())
        return NULL;
    raw = mmap(NULL, want + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED)
        return NULL;
    at = ((uintptr_t)raw + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1);
    head = at - (uintptr_t)raw;
    if (head)
        (void)munmap(raw, head);
    if (head < HUGE_PAGE)
        (void)munmap(raw + head + want, HUGE_PAGE - head);
    (void)madvise(raw + head, want, MADV_HUGEPAGE);
    return raw + head;
}

void rl_pages_unmap(void *p, size_t bytes)
{
    if (p)
        (void)munmap(p, (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
}
