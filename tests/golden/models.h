/* Where golden tests find files that are too large for the repository. */
#ifndef TEST_GOLDEN_MODELS_H
#define TEST_GOLDEN_MODELS_H

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* The real models and vocabularies: $REALM_MODELS_DIR, else realm/models in the user's cache
 * folder. A test that needs one fails without it. */
static inline void model_path(char *out, size_t cap, const char *file)
{
    const char *dir = getenv("REALM_MODELS_DIR");
    const char *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");

    if (dir && *dir)
        (void)snprintf(out, cap, "%s/%s", dir, file);
    else if (cache && *cache)
        (void)snprintf(out, cap, "%s/realm/models/%s", cache, file);
    else
        (void)snprintf(out, cap, "%s/.cache/realm/models/%s", home ? home : "", file);
}

#endif
