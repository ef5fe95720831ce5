#include "guest/held.h"

typedef struct span {
    uint64_t begin, end;
} span;

void rl_held_init(rl_held *h)
{
    *h = (rl_held){ .first = 0 };
    rl_buf_init(&h->spans, RL_HELD_MAX * sizeof(span));
    rl_buf_init(&h->tokens, RL_HELD_MAX * sizeof(rl_stream_token));
}

void rl_held_deinit(rl_held *h)
{
    rl_buf_deinit(&h->spans);
    rl_buf_deinit(&h->tokens);
}

static const span *span_of(const rl_held *h, size_t i)
{
    return (const span *)(const void *)h->spans.data + i;
}

size_t rl_held_count(const rl_held *h)
{
    return h->spans.len / sizeof(span) - h->first;
}

bool rl_held_full(const rl_held *h)
{
    return rl_held_count(h) >= RL_HELD_MAX;
}

bool rl_held_add(rl_held *h, const rl_stream_token *t, uint64_t end)
{
    span s = { h->end, end };

    rl_buf_consume(&h->spans, h->first * sizeof s);
    rl_buf_consume(&h->tokens, h->first * sizeof *t);
    h->first = 0;
    h->end = end;
    return rl_buf_add(&h->spans, &s, sizeof s) == REALM_OK &&
           rl_buf_add(&h->tokens, t, sizeof *t) == REALM_OK;
}

uint32_t rl_held_take(rl_held *h, uint64_t *to, uint32_t most, const rl_stream_token **out)
{
    size_t left = rl_held_count(h);
    uint32_t n = 0;

    while (n < left && n < most && span_of(h, h->first + n)->begin < *to)
        n++;
    if (n < left && span_of(h, h->first + n)->begin < *to)
        *to = span_of(h, h->first + n)->begin;
    *out = n > 0 ? (const rl_stream_token *)(const void *)h->tokens.data + h->first : NULL;
    h->first += n;
    return n;
}

void rl_held_drop(rl_held *h, uint64_t at)
{
    for (; rl_held_count(h) > 0; h->first++) {
        const span *s = span_of(h, h->first);

        if (s->begin >= at || s->end > at)
            return;
    }
}
