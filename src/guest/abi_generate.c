/* Module realm: starting streams, for a Request or on a sequence of the program's own. */
#include "guest/abi.h"
#include "guest/text.h"

/* A row for a stream, before it starts: a generation nobody can name could not be closed. The row
 * counts as taken only once its kind is set. -> 0, or the call's answer */
static int64_t stream_row(rl_call *c, rl_handle **row, uint32_t *number)
{
    *row = rl_handle_new(&c->run->handles, number);
    if (*row)
        return 0;
    return rl_call_fail(c, REALM_EQUOTA, "%u handles are open: close one first", RL_MAX_HANDLES);
}

static int64_t give_stream(rl_handle *row, uint32_t number, rl_gstream *s)
{
    row->kind = RL_HANDLE_STREAM;
    row->stream = s;
    return number;
}

/* ---- generate_chat --------------------------------------------------------------------------- */

/* The Request was read. */
static int64_t start_chat(rl_call *c)
{
    rl_text_op *t = c->state;
    uint32_t number;
    rl_handle *row;
    rl_gstream *s;
    int64_t r;

    if (t->op.status != REALM_OK)
        return rl_call_fail_err(c, &t->op.err);
    r = stream_row(c, &row, &number);
    if (r == 0)
        r = rl_gstream_start(c, t->lm, &t->gen, &s);
    return r != 0 ? r : give_stream(row, number, s);
}

int64_t rl_abi_realm_generate_chat(rl_call *c)
{
    rl_lm *lm;
    int64_t r = rl_model_get(c, c->arg[0].u, &lm);

    if (r != 0)
        return r;
    return rl_text_run(c, rl_text_new(c->run, RL_TEXT_REQUEST, lm, c->arg[1].in, c->arg[1].n),
                       start_chat);
}

/* ---- generate_seq ---------------------------------------------------------------------------- */

/* -> 0, or the call's answer */
static int64_t find_pair(rl_call *c, rl_gseq **q, rl_gsampler **sampler)
{
    int64_t r = rl_gseq_get(c, c->arg[0].u, q);

    if (r == 0)
        r = rl_gsampler_get(c, c->arg[1].u, sampler);
    if (r == 0 && (*q)->lm != (*sampler)->lm)
        r = rl_call_fail(c, REALM_EINVAL, "the sampler was made for another model");
    return r;
}

/* The parameters were read; the handles are still those they were: the guest slept. */
static int64_t start_seq(rl_call *c)
{
    rl_text_op *t = c->state;
    rl_gsampler *sampler;
    uint32_t number;
    rl_handle *row;
    rl_gstream *s;
    rl_gseq *q;
    int64_t r;

    if (t->op.status != REALM_OK)
        return rl_call_fail_err(c, &t->op.err);
    r = find_pair(c, &q, &sampler);
    if (r == 0)
        r = stream_row(c, &row, &number);
    if (r == 0)
        r = rl_gstream_lend(c, q, sampler, &t->gen, &s);
    return r != 0 ? r : give_stream(row, number, s);
}

int64_t rl_abi_realm_generate_seq(rl_call *c)
{
    rl_gsampler *sampler;
    rl_gseq *q;
    int64_t r = find_pair(c, &q, &sampler);

    if (r != 0)
        return r;
    return rl_text_run(c, rl_text_new(c->run, RL_TEXT_PARAMS, NULL, c->arg[2].in, c->arg[2].n),
                       start_seq);
}
