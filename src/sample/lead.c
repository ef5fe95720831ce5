#include "sample/lead.h"

#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* The marker's longest beginning that its first `matched` bytes and c end with. Markers are short:
 * no table is kept. */
static uint32_t reach(const rl_lead *l, char c)
{
    uint32_t k = l->matched;

    for (;; k--) {
        if (memcmp(l->text, l->text + l->matched - k, k) == 0 && l->text[k] == c)
            return k + 1;
        if (k == 0)
            return 0;
    }
}

bool rl_lead_add(rl_lead *l, char c)
{
    if (l->missed || (l->first && l->matched == 0 && is_space(c)))
        return false;
    if (l->first && l->text[l->matched] != c) {
        l->missed = true;
        return false;
    }
    l->matched = reach(l, c);
    if (l->matched < l->n)
        return false;
    l->matched = 0;
    l->missed = l->first; /* there is one beginning */
    return true;
}
