#include "token/marks.h"

#include "base/alloc.h"

#include <string.h>

static const char mark[] = "\xf4\x8f\xbf\xbe";  /* U+10FFFE */
static const char quote[] = "\xf4\x8f\xbf\xbf"; /* U+10FFFF after it: a real U+10FFFE */

#define MARK_BYTES (sizeof mark - 1)

static void add_reversed(rl_special *reversed, rl_text t, uint32_t id)
{
    char text[RL_SPECIAL_MAX];

    for (size_t i = 0; i < t.n; i++)
        text[i] = t.p[t.n - 1 - i];
    rl_special_add(reversed, (rl_text){ text, t.n }, id, false);
}

realm_status rl_marks_open(rl_vocab *v)
{
    size_t n_bytes = 0;

    for (uint32_t i = 0; i < v->info.n_tokens; i++)
        n_bytes += rl_vocab_is_parsed(v, i) ? v->raw[i].n : 0;
    if (rl_special_init(&v->reversed, n_bytes) != REALM_OK)
        return REALM_ENOMEM;
    for (uint32_t i = 0; i < v->info.n_tokens; i++) {
        if (rl_vocab_is_parsed(v, i) && v->raw[i].n) {
            add_reversed(&v->reversed, v->raw[i], i);
            v->begins[(uint8_t)v->raw[i].p[0]] = true;
        }
    }
    return rl_special_finish(&v->reversed);
}

void rl_marks_init(rl_marks *m, const rl_vocab *v)
{
    *m = (rl_marks){ .texts = &v->special, .reversed = &v->reversed, .begins = v->begins };
}

/* The longest beginning of the text that is the end of some control token's text. */
static size_t finishes(const rl_marks *m, const char *text, size_t n)
{
    char reversed[RL_SPECIAL_MAX];
    size_t longest = 0;

    for (size_t k = 1; k <= n && k <= RL_SPECIAL_MAX; k++) {
        if (!(m->reversed->may_begin[(uint8_t)text[k - 1]] & 2))
            continue;
        for (size_t i = 0; i < k; i++)
            reversed[i] = text[k - 1 - i];
        if (rl_special_reach(m->reversed, reversed, k, 0) == k)
            longest = k;
    }
    return longest;
}

static bool is_mark(const char *p, size_t n)
{
    return p[0] == mark[0] && n >= MARK_BYTES && memcmp(p, mark, MARK_BYTES) == 0;
}

bool rl_marks_put(const rl_marks *m, const char *text, size_t n, rl_buf *out)
{
    size_t marked_to = finishes(m, text, n);
    size_t copied = 0; /* text[0..copied) is in `out` */
    bool changed = false;

    for (size_t i = 0; i < n; i++) {
        size_t reach = rl_special_reach(m->texts, text, n, i);
        bool real = is_mark(text + i, n - i);
        bool wanted = m->begins[(uint8_t)text[i]];

        marked_to = reach > marked_to ? reach : marked_to;
        wanted = wanted || (i < marked_to && ((uint8_t)text[i] & 0xc0) != 0x80);
        if (!real && !wanted)
            continue;
        (void)rl_buf_add(out, text + copied, i - copied);
        (void)rl_buf_add(out, mark, MARK_BYTES);
        copied = i;
        if (real) { /* the one just written, quoted, stands for it */
            (void)rl_buf_add(out, quote, MARK_BYTES);
            copied = i + MARK_BYTES;
            i = copied - 1;
        }
        changed = true;
    }
    (void)rl_buf_add(out, text + copied, n - copied);
    return changed;
}

void rl_marks_take(char *text, size_t *n, rl_ids *at)
{
    size_t k = 0;

    for (size_t i = 0; i < *n;) {
        if (!is_mark(text + i, *n - i)) {
            text[k++] = text[i++];
            continue;
        }
        i += MARK_BYTES;
        if (*n - i >= MARK_BYTES && memcmp(text + i, quote, MARK_BYTES) == 0) {
            memmove(text + k, mark, MARK_BYTES);
            k += MARK_BYTES;
            i += MARK_BYTES;
        } else if (!at->n || at->p[at->n - 1] != k) {
            rl_ids_add(at, (uint32_t)k);
        }
    }
    *n = k;
}
