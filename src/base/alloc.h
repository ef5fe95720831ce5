/* All heap memory of Realm. Nothing outside base/ calls malloc.
 *
 * Every call is fallible and answers NULL; rl_free(NULL) is fine. Memory is zeroed unless the name
 * says otherwise. REALM_FAIL_ALLOC=k in the environment makes the k-th call of the process fail
 * once, counted from 1; a test says it by rl_alloc_fail_at. Any thread. */
#ifndef RL_BASE_ALLOC_H
#define RL_BASE_ALLOC_H

#include <stdbool.h>
#include <stddef.h>

void *rl_alloc(size_t bytes);                      /* zeroed; bytes 0 gives a valid pointer */
void *rl_alloc_array(size_t n, size_t item_bytes); /* zeroed; NULL when n * item_bytes overflows */
void *rl_realloc(void *p, size_t bytes);           /* grown part is not zeroed; p kept on failure */
void *rl_alloc_aligned(size_t align, size_t bytes); /* zeroed; align a power of two >= 16 */
char *rl_strdup(const char *s);
char *rl_strndup(const char *s, size_t n); /* adds a NUL */
void rl_free(void *p);

/* Anonymous pages from the kernel: zeroed, 2 MiB aligned, huge pages asked for. NULL on failure. */
void *rl_pages_map(size_t bytes);
void rl_pages_unmap(void *p, size_t bytes); /* NULL is fine */

/* The k-th call from now on fails, once; 0: none. -> whether what was asked for before has failed
 */
bool rl_alloc_fail_at(long k);

#endif
