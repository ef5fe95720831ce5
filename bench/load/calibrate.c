#include "load/calibrate.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "load/client.h"
#include "load/prompt.h"

#include <inttypes.h>
#include <sys/epoll.h>
#include <unistd.h>

#define ROUNDS   4u
#define TEMPLATE 16u /* tokens of a template, as a first guess */
#define WAIT_MS  250

/* Runs one request to its end. */
static void ask(rl_load_client *c, double timeout_s)
{
    uint64_t end = rl_clock_ns() + (uint64_t)(timeout_s * 1e9);
    bool ended = rl_load_client_start(c, rl_clock_ns(), 1);

    while (!ended) {
        struct epoll_event e;
        int n = epoll_wait(c->wire->ep, &e, 1, WAIT_MS);

        if (n > 0)
            ended = rl_load_client_ready(c, e.events);
        else if (rl_clock_ns() > end)
            ended = rl_load_client_fail(c, RL_LOAD_TIMEOUT, "no answer within --timeout");
    }
}

static realm_status tokens_of(rl_load_client *c, const rl_load_bodies *b, uint32_t number,
                              uint32_t n_words, uint64_t *tokens, realm_error *err)
{
    const rl_load_result *r = &c->result;

    if (rl_load_bodies_write_probe(b, number, n_words, &c->out) != REALM_OK)
        return realm_fail(err, REALM_ENOMEM, "no memory for a prompt of %" PRIu32 " words",
                          n_words);
    ask(c, b->o->timeout_s);
    if (r->reason != RL_LOAD_OK)
        return realm_fail(err, REALM_EIO,
                          "the first request (%" PRIu32 " words) failed, status %d: %.120s",
                          n_words, r->status, r->why);
    if (!r->has_usage)
        return realm_fail(err, REALM_EIO,
                          "the answer has no usage.prompt_tokens to size prompts by: give "
                          "--prompt-words N");
    *tokens = r->prompt_tokens;
    return REALM_OK;
}

static uint64_t apart(uint64_t a, uint64_t b)
{
    return a > b ? a - b : b - a;
}

static realm_status search(rl_load_client *c, rl_load_bodies *b, uint32_t *tokens, realm_error *err)
{
    uint64_t target = b->o->prompt_tokens, got, best = UINT64_MAX;
    int64_t words = (int64_t)target - TEMPLATE;

    for (uint32_t i = 0; i < ROUNDS && best; i++) {
        realm_status st;

        if (words < RL_LOAD_PROMPT_LEAST)
            words = RL_LOAD_PROMPT_LEAST;
        st = tokens_of(c, b, UINT32_MAX - i, (uint32_t)words, &got, err);
        if (st != REALM_OK)
            return st;
        if (got > UINT32_MAX)
            return realm_fail(err, REALM_EIO, "usage.prompt_tokens is %" PRIu64, got);
        if (apart(got, target) < best) {
            best = apart(got, target);
            b->n_words = (uint32_t)words;
            *tokens = (uint32_t)got;
        }
        words += (int64_t)target - (int64_t)got; /* a word is about a token */
    }
    if (best > target / 10 + 2)
        return realm_fail(err, REALM_EINVAL,
                          "no prompt near %" PRIu64 " tokens was found, %" PRIu32 " words are "
                          "%" PRIu32 " tokens: give --prompt-words N or another --prompt-tokens",
                          target, b->n_words, *tokens);
    return REALM_OK;
}

realm_status rl_load_calibrate(rl_load_bodies *b, const rl_load_addr *addr, uint32_t *tokens,
                               realm_error *err)
{
    rl_load_wire *wire = rl_alloc(sizeof *wire);
    rl_load_client c;
    realm_status st;

    if (!wire)
        return realm_fail(err, REALM_ENOMEM, "no memory for a connection");
    wire->addr = *addr;
    wire->plain = true;
    wire->ep = epoll_create1(EPOLL_CLOEXEC);
    rl_load_client_init(&c, wire, RL_LOAD_GOOD);
    st = wire->ep < 0 ? realm_fail(err, REALM_EIO, "no epoll") : search(&c, b, tokens, err);
    rl_load_client_deinit(&c);
    if (wire->ep >= 0)
        (void)close(wire->ep);
    rl_free(wire);
    return st;
}
