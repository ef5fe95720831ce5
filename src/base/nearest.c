#include "base/nearest.h"

#include <string.h>

/* Levenshtein distance (1965), two rows of the table. */
static size_t distance(const char *a, const char *b)
{
    size_t row[RL_NEAREST_MAX + 1], n = strlen(a), m = strlen(b);

    if (n > RL_NEAREST_MAX || m > RL_NEAREST_MAX)
        return RL_NEAREST_MAX;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];

        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            size_t least = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;

            diagonal = row[j];
            row[j] = change < least ? change : least;
        }
    }
    return row[m];
}

const char *rl_nearest(const char *word, const char *const *words, size_t n)
{
    size_t least = strlen(word) <= 2 ? 2 : 3; /* one or two slips */
    const char *best = NULL;

    for (size_t i = 0; i < n; i++) {
        size_t d = distance(word, words[i]);

        if (strlen(word) >= 2 && strncmp(word, words[i], strlen(word)) == 0)
            d = 0;
        if (d < least) {
            least = d;
            best = words[i];
        }
    }
    return best;
}
