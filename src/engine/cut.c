#include "engine/cut.h"

#include "base/alloc.h"
#include "base/utf8.h"

#include <string.h>

#define HELD_MAX ((size_t)1 << 20)

realm_status rl_cut_init(rl_cut *c, const char *const *stops, uint32_t n_stops, size_t max_bytes,
                         realm_error *err)
{
    *c = (rl_cut){ .max_bytes = max_bytes };
    rl_buf_init(&c->held, HELD_MAX);
    if (n_stops > RL_CUT_STOPS)
        return realm_fail(err, REALM_EINVAL, "%u stop strings: at most %u are offered", n_stops,
                          RL_CUT_STOPS);
    for (uint32_t i = 0; i < n_stops; i++) {
        size_t n = stops[i] ? strlen(stops[i]) : 0;

        /* A stop that is whole characters begins and ends between characters wherever it is found.
         */
        if (n < 1 || n > RL_CUT_STOP_BYTES || !rl_utf8_valid(stops[i], n))
            return realm_fail(err, REALM_EINVAL, "stop string %u must be 1 to %u bytes of UTF-8", i,
                              RL_CUT_STOP_BYTES);
        c->stops[i] = rl_strndup(stops[i], n);
        if (!c->stops[i])
            return realm_fail(err, REALM_ENOMEM, "no memory for the stop strings");
        c->len[i] = n;
        c->n_stops++;
    }
    return REALM_OK;
}

void rl_cut_deinit(rl_cut *c)
{
    for (uint32_t i = 0; i < c->n_stops; i++)
        rl_free(c->stops[i]);
    rl_buf_deinit(&c->held);
    *c = (rl_cut){ 0 };
}

/* Gives the first n held bytes, as far as the limit allows. */
static void release(rl_cut *c, size_t n, rl_buf *out)
{
    size_t room = c->max_bytes && c->max_bytes - c->n_released < n
                      ? (size_t)(c->max_bytes - c->n_released)
                      : n;

    if (room < n)
        room = rl_utf8_whole(c->held.data, room);
    if (room)
        (void)rl_buf_add(out, c->held.data, room);
    c->n_released += room;
    if (room < n || (c->max_bytes && c->n_released == c->max_bytes))
        c->finish = "length";
    rl_buf_consume(&c->held, n);
}

/* Where the first stop string begins in the held text; its length if there is none. */
static size_t find_stop(const rl_cut *c)
{
    size_t at = c->held.len;

    for (uint32_t i = 0; i < c->n_stops; i++) {
        const char *hit = memmem(c->held.data, c->held.len, c->stops[i], c->len[i]);

        if (hit && (size_t)(hit - c->held.data) < at)
            at = (size_t)(hit - c->held.data);
    }
    return at;
}

/* How many of the last held bytes could be the beginning of a stop string. */
static size_t unsure(const rl_cut *c)
{
    size_t most = 0;

    for (uint32_t i = 0; i < c->n_stops; i++) {
        size_t n = c->len[i] - 1 < c->held.len ? c->len[i] - 1 : c->held.len;

        while (n > most && memcmp(c->held.data + c->held.len - n, c->stops[i], n) != 0)
            n--;
        most = n > most ? n : most;
    }
    return most;
}

void rl_cut_add(rl_cut *c, const char *text, size_t n, rl_buf *out)
{
    size_t at;

    if (c->finish || n == 0)
        return;
    if (rl_buf_add(&c->held, text, n) != REALM_OK) {
        out->failed = true;
        return;
    }
    at = find_stop(c);
    if (at == c->held.len) {
        release(c, at - unsure(c), out);
        return;
    }
    release(c, at, out);
    if (!c->finish)
        c->finish = "stop";
    rl_buf_clear(&c->held);
}

void rl_cut_flush(rl_cut *c, rl_buf *out)
{
    if (!c->finish)
        release(c, c->held.len, out);
    rl_buf_clear(&c->held);
}
