/* Module realm: samplers. */
#include "guest/abi.h"
#include "guest/text.h"

static int64_t made(rl_call *c)
{
    rl_text_op *t = c->state;
    rl_sampler *s = t->sampler;

    if (t->op.status != REALM_OK)
        return rl_call_fail_err(c, &t->op.err);
    t->sampler = NULL;
    return rl_gsampler_new(c, t->lm, s);
}

int64_t rl_abi_realm_sampler_new(rl_call *c)
{
    rl_lm *lm;
    int64_t r = rl_model_get(c, c->arg[0].u, &lm);

    if (r != 0)
        return r;
    return rl_text_run(c, rl_text_new(c->run, RL_TEXT_SAMPLER, lm, c->arg[1].in, c->arg[1].n),
                       made);
}

int64_t rl_abi_realm_sampler_clone(rl_call *c)
{
    rl_gsampler *from;
    rl_sampler *s;
    realm_error err;
    int64_t r = rl_gsampler_get(c, c->arg[0].u, &from);

    if (r != 0)
        return r;
    if (rl_sampler_clone(&s, from->sampler, &err) != REALM_OK)
        return rl_call_fail_err(c, &err);
    return rl_gsampler_new(c, from->lm, s);
}

int64_t rl_abi_realm_sampler_mask(rl_call *c)
{
    rl_gsampler *s;
    realm_error err;
    int64_t r = rl_gsampler_get(c, c->arg[0].u, &s);

    if (r == 0 && rl_sampler_mask(s->sampler, c->arg[1].in, c->arg[1].n, &err) != REALM_OK)
        r = rl_call_fail_err(c, &err);
    return r;
}

/* For ids that the program drew or chose itself: they count for the penalties, and the grammar goes
 * on by them. */
int64_t rl_abi_realm_sampler_accept(rl_call *c)
{
    rl_gsampler *s;
    realm_error err;
    int64_t r = rl_gsampler_get(c, c->arg[0].u, &s);

    if (r == 0)
        r = rl_ids_check(c, &c->arg[1], s->lm);
    for (uint64_t i = 0; r == 0 && i < c->arg[1].n; i++)
        if (rl_sampler_advance(s->sampler, rl_item_of(&c->arg[1], i), &err) != REALM_OK)
            r = rl_call_fail_err(c, &err);
    return r;
}

/* Closing a sampler that a stream draws with leaves it to the stream. */
int64_t rl_abi_realm_sampler_close(rl_call *c)
{
    rl_handle *row = rl_handle_get(&c->run->handles, c->arg[0].u, RL_HANDLE_SAMPLER);

    if (!row)
        return rl_call_fail(c, REALM_ENOTFOUND, "no sampler has the handle %llu",
                            (unsigned long long)c->arg[0].u);
    rl_handle_free(row);
    return 0;
}
