#include "sample/heads.h"

#include "base/alloc.h"

#include <string.h>

bool rl_heads_init(rl_heads *h, const rl_head *list, uint32_t n)
{
    *h = (rl_heads){ .n = n };
    if (n == 0)
        return true;
    h->list = rl_alloc_array(n, sizeof *h->list);
    if (!h->list) {
        h->n = 0;
        return false;
    }
    memcpy(h->list, list, n * sizeof *list);
    return true;
}

bool rl_heads_dup(rl_heads *out, const rl_heads *h)
{
    bool ok = rl_heads_init(out, h->list, h->n);

    out->said = h->said;
    return ok;
}

void rl_heads_deinit(rl_heads *h)
{
    rl_free(h->list);
    *h = (rl_heads){ 0 };
}

size_t rl_heads_least(const rl_heads *h)
{
    size_t least = SIZE_MAX;

    for (uint32_t i = 0; i < h->n; i++)
        if (h->list[i].n - h->said < least)
            least = h->list[i].n - h->said;
    return least;
}

/* What is missing of a head. -> whether p [n] is the beginning of it, or it of p */
static bool fits(const rl_heads *h, const rl_head *head, const char *p, size_t n)
{
    size_t rest = head->n - h->said;

    return n == 0 || memcmp(head->text + h->said, p, n < rest ? n : rest) == 0;
}

bool rl_heads_would(const rl_heads *h, const char *p, size_t n)
{
    for (uint32_t i = 0; i < h->n; i++)
        if (h->list[i].n - h->said <= n && fits(h, &h->list[i], p, n))
            return true;
    return false;
}

bool rl_heads_add(rl_heads *h, const char *p, size_t n)
{
    bool has = rl_heads_would(h, p, n);
    uint32_t left = 0;

    for (uint32_t i = 0; i < h->n && !has; i++)
        if (fits(h, &h->list[i], p, n))
            h->list[left++] = h->list[i];
    h->n = left;
    h->said += left > 0 ? (uint32_t)n : 0;
    return has;
}
