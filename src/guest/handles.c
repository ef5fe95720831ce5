#include "guest/handles.h"

#include "guest/generate.h"

/* Row and use together: a closed handle's number names nothing until the count has gone around. */
static uint32_t number_of(const rl_handles *h, const rl_handle *row)
{
    uint32_t at = (uint32_t)(row - h->row);

    return (row->uses * RL_MAX_HANDLES + at) % (uint32_t)INT32_MAX + 1;
}

/* The least used row, so that numbers come back as late as can be. */
rl_handle *rl_handle_new(rl_handles *h, uint32_t *number)
{
    rl_handle *best = NULL;
    uint32_t i;

    for (i = 0; i < RL_MAX_HANDLES; i++)
        if (h->row[i].kind == RL_HANDLE_NONE && (!best || h->row[i].uses < best->uses))
            best = &h->row[i];
    if (best)
        *number = number_of(h, best);
    return best;
}

rl_handle *rl_handle_get(rl_handles *h, uint64_t number, rl_handle_kind kind)
{
    rl_handle *row;

    if (number == 0)
        return NULL;
    row = &h->row[(number - 1) % RL_MAX_HANDLES];
    return row->kind == kind && number_of(h, row) == number ? row : NULL;
}

/* The use is counted when a row becomes free, so the number just closed is dead at once. */
void rl_handle_free(rl_handle *row)
{
    if (row->kind == RL_HANDLE_MODEL)
        rl_lm_unref(row->lm);
    else if (row->kind == RL_HANDLE_STREAM)
        rl_gstream_close(row->stream);
    else if (row->kind == RL_HANDLE_SEQ)
        rl_gseq_free(row->seq);
    else if (row->kind == RL_HANDLE_SAMPLER)
        rl_gsampler_free(row->sampler);
    row->kind = RL_HANDLE_NONE;
    row->uses++;
}

void rl_handles_deinit(rl_handles *h)
{
    uint32_t i;

    for (i = 0; i < RL_MAX_HANDLES; i++)
        if (h->row[i].kind != RL_HANDLE_NONE)
            rl_handle_free(&h->row[i]);
}
