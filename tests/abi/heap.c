#include "heap.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t item);
void *__real_realloc(void *p, size_t n);
void *__real_aligned_alloc(size_t align, size_t n);
int __real_posix_memalign(void **out, size_t align, size_t n);
void __real_free(void *p);

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t item);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_aligned_alloc(size_t align, size_t n);
int __wrap_posix_memalign(void **out, size_t align, size_t n);
void __wrap_free(void *p);

/* Memory of libraries that are not wrapped may be freed here, so `used` may be below the truth by
 * what they took before; the peak over a mark is what counts. */
static _Atomic int64_t used, mark, peak;
static _Atomic size_t largest;

static void raise_to_peak(int64_t now)
{
    int64_t old = atomic_load(&peak);

    while (now > old && !atomic_compare_exchange_weak(&peak, &old, now))
        ;
}

static void *taken(void *p, size_t asked)
{
    size_t old = atomic_load(&largest);

    if (p == NULL)
        return NULL;
    raise_to_peak(atomic_fetch_add(&used, (int64_t)malloc_usable_size(p)) +
                  (int64_t)malloc_usable_size(p));
    while (asked > old && !atomic_compare_exchange_weak(&largest, &old, asked))
        ;
    return p;
}

static void given_back(void *p)
{
    if (p != NULL)
        atomic_fetch_sub(&used, (int64_t)malloc_usable_size(p));
}

void heap_mark(void)
{
    atomic_store(&mark, atomic_load(&used));
    atomic_store(&peak, atomic_load(&used));
    atomic_store(&largest, 0);
}

size_t heap_peak(void)
{
    return (size_t)(atomic_load(&peak) - atomic_load(&mark));
}

size_t heap_largest(void)
{
    return atomic_load(&largest);
}

void *__wrap_malloc(size_t n)
{
    return taken(__real_malloc(n), n);
}

void *__wrap_calloc(size_t n, size_t item)
{
    return taken(__real_calloc(n, item), n * item);
}

void *__wrap_realloc(void *p, size_t n)
{
    size_t before = p ? malloc_usable_size(p) : 0;
    void *q = __real_realloc(p, n);

    if (q != NULL || n == 0)
        atomic_fetch_sub(&used, (int64_t)before);
    return taken(q, n);
}

void *__wrap_aligned_alloc(size_t align, size_t n)
{
    return taken(__real_aligned_alloc(align, n), n);
}

int __wrap_posix_memalign(void **out, size_t align, size_t n)
{
    int e = __real_posix_memalign(out, align, n);

    if (e == 0)
        (void)taken(*out, n);
    return e;
}

void __wrap_free(void *p)
{
    given_back(p);
    __real_free(p);
}
