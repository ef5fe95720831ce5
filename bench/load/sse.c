#include "load/sse.h"

#include <string.h>

void rl_load_sse_init(rl_load_sse *s)
{
    *s = (rl_load_sse){ .begun = false };
    rl_buf_init(&s->line, RL_LOAD_SSE_MAX);
    rl_buf_init(&s->data, RL_LOAD_SSE_MAX);
}

void rl_load_sse_deinit(rl_load_sse *s)
{
    rl_buf_deinit(&s->line);
    rl_buf_deinit(&s->data);
}

void rl_load_sse_reset(rl_load_sse *s)
{
    rl_buf line = s->line, data = s->data;

    rl_buf_clear(&line);
    rl_buf_clear(&data);
    *s = (rl_load_sse){ .line = line, .data = data };
}

/* One whole line. -> false: over the cap */
static bool take_line(rl_load_sse *s, const char *line, size_t n)
{
    if (!s->begun && n >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
        line += 3;
        n -= 3;
    }
    s->begun = true;
    if (n < 4 || memcmp(line, "data", 4) != 0 || (n > 4 && line[4] != ':'))
        return true;
    line += n > 4 ? 5 : 4;
    n -= n > 4 ? 5 : 4;
    if (n && *line == ' ') {
        line++;
        n--;
    }
    if (s->has_data && rl_buf_add(&s->data, "\n", 1) != REALM_OK)
        return false;
    s->has_data = true;
    return rl_buf_add(&s->data, line, n) == REALM_OK;
}

/* The bytes up to a line's end. -> n when there is none */
static size_t find_end(const char *p, size_t n)
{
    size_t i = 0;

    while (i < n && p[i] != '\n' && p[i] != '\r')
        i++;
    return i;
}

/* Uses the input up to one line's end. -> 1 with the line, 0 for more, -1 over the cap */
static int next_line(rl_load_sse *s, const char **p, size_t *n, const char **line, size_t *len)
{
    bool ended;
    size_t i;

    if (s->skip_lf && **p == '\n') {
        ++*p;
        --*n;
    }
    s->skip_lf = false;
    i = find_end(*p, *n);
    ended = i < *n;
    *line = *p;
    *len = i;
    if (!ended || s->line.len) {
        if (rl_buf_add(&s->line, *p, i) != REALM_OK)
            return -1;
        *line = s->line.data;
        *len = s->line.len;
    }
    if (ended)
        s->skip_lf = (*p)[i] == '\r';
    *p += i + ended;
    *n -= i + ended;
    return ended;
}

rl_load_sse_next rl_load_sse_read(rl_load_sse *s, const char **p, size_t *n, const char **data,
                                  size_t *n_data)
{
    if (s->given) {
        rl_buf_clear(&s->data);
        s->given = s->has_data = false;
    }
    while (*n) {
        const char *line;
        size_t len;
        int found = next_line(s, p, n, &line, &len);

        if (found < 0)
            return RL_LOAD_SSE_BAD;
        if (found == 0)
            break;
        if (len == 0 && s->has_data) {
            *data = s->data.data ? s->data.data : "";
            *n_data = s->data.len;
            s->given = true;
        } else if (len && !take_line(s, line, len)) {
            return RL_LOAD_SSE_BAD;
        }
        rl_buf_clear(&s->line);
        if (s->given)
            return RL_LOAD_SSE_EVENT;
    }
    return RL_LOAD_SSE_MORE;
}
