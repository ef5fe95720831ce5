#include "base/buf.h"

#include "base/alloc.h"
#include "base/assert.h"

#include <stdio.h>
#include <string.h>

void rl_buf_init(rl_buf *b, size_t max)
{
    *b = (rl_buf){ .max = max };
}

void rl_buf_deinit(rl_buf *b)
{
    rl_free(b->data);
    *b = (rl_buf){ .max = b->max };
}

void rl_buf_clear(rl_buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data)
        b->data[0] = 0;
}

/* Room for n more bytes and the NUL. Doubles, so appends are amortised linear. */
static realm_status reserve(rl_buf *b, size_t n)
{
    size_t cap = b->cap ? b->cap : 64;
    char *p;

    if (b->failed)
        return REALM_ENOMEM;
    if (n > b->max - b->len) {
        b->failed = true;
        return REALM_ETOOBIG;
    }
    while (cap < b->len + n + 1)
        cap *= 2;
    if (cap == b->cap)
        return REALM_OK;
    p = rl_realloc(b->data, cap);
    if (!p) {
        b->failed = true;
        return REALM_ENOMEM;
    }
    b->data = p;
    b->cap = cap;
    return REALM_OK;
}

realm_status rl_buf_add(rl_buf *b, const void *p, size_t n)
{
    realm_status st = reserve(b, n);

    if (st != REALM_OK)
        return st;
    if (n)
        memcpy(b->data + b->len, p, n);
    b->len += n;
    b->data[b->len] = 0;
    return REALM_OK;
}

realm_status rl_buf_adds(rl_buf *b, const char *s)
{
    return rl_buf_add(b, s, strlen(s));
}

realm_status rl_buf_addf(rl_buf *b, const char *fmt, ...)
{
    va_list args;
    int n;
    realm_status st;

    va_start(args, fmt);
    n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    RL_ASSERT(n >= 0);
    st = reserve(b, (size_t)n);
    if (st != REALM_OK)
        return st;
    va_start(args, fmt);
    (void)vsnprintf(b->data + b->len, (size_t)n + 1, fmt, args);
    va_end(args);
    b->len += (size_t)n;
    return REALM_OK;
}

void rl_buf_consume(rl_buf *b, size_t n)
{
    RL_ASSERT(n <= b->len);
    if (!n)
        return;
    memmove(b->data, b->data + n, b->len - n);
    b->len -= n;
    b->data[b->len] = 0;
}

char *rl_buf_take(rl_buf *b)
{
    char *p;

    if (b->failed) {
        rl_buf_deinit(b);
        return NULL;
    }
    p = b->data ? b->data : rl_strdup("");
    *b = (rl_buf){ .max = b->max };
    return p;
}
