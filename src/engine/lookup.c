/* A scan and no index: it runs once a step for a few sequences, and takes a thousandth of a step.
 */
#include "engine/lookup.h"

/* How many of the ids before `at` are those before n. */
static uint32_t same_before(const uint32_t *ids, uint32_t n, uint32_t at)
{
    uint32_t most = at < RL_LOOKUP_MOST ? at : RL_LOOKUP_MOST, same = 0;

    while (same < most && ids[at - 1 - same] == ids[n - 1 - same])
        same++;
    return same;
}

uint32_t rl_lookup_find(const uint32_t *ids, uint32_t n, uint32_t *at)
{
    uint32_t first = n > RL_LOOKUP_REACH ? n - RL_LOOKUP_REACH : 0, best = 0;

    if (n <= RL_LOOKUP_LEAST)
        return 0;
    for (uint32_t i = n - 1; i >= first + RL_LOOKUP_LEAST && best < RL_LOOKUP_MOST; i--) {
        uint32_t same;

        if (ids[i - 1] != ids[n - 1] || ids[i - 2] != ids[n - 2])
            continue;
        same = same_before(ids, n, i);
        if (same > best) {
            best = same;
            *at = i;
        }
    }
    return best;
}

void rl_lookup_copy(uint32_t *ids, uint32_t n, uint32_t at, uint32_t k)
{
    for (uint32_t i = 0; i < k; i++)
        ids[n + i] = ids[at + i];
}
