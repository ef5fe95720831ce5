/* Layer access: embed, every layer, head give the bits of a whole pass; what a fed sequence may and
 * may not do. */
#include "house.h"

#include "base/alloc.h"

#include <string.h>

#define N 150u

typedef struct layers {
    house h;
    uint32_t n_embd, n_layers, ids[N];
    float *hidden, *logits, *want;
} layers;

static void open_layers(layers *l, const char *arch, uint32_t max_rows)
{
    rl_engine_opts eo = { .n_threads = 2, .kv_bytes = (size_t)64 << 20, .max_rows = max_rows };
    const rl_model_info *info;
    rl_seq *s;

    house_open(&l->h, arch, &eo, NULL);
    info = rl_model_get_info(rl_lm_model(l->h.lm));
    l->n_embd = info->n_embd;
    l->n_layers = info->n_layers;
    l->hidden = rl_alloc_array((size_t)N * l->n_embd, sizeof(float));
    l->logits = rl_alloc_array(l->h.n_vocab, sizeof(float));
    l->want = rl_alloc_array(l->h.n_vocab, sizeof(float));
    house_ids(l->ids, N, 77);
    s = house_seq(&l->h, 1);
    house_logits(&l->h, s, l->ids, N, l->want);
    rl_seq_close(s);
}

static void close_layers(layers *l)
{
    house_wait_empty(&l->h);
    house_close(&l->h);
    rl_free(l->hidden);
    rl_free(l->logits);
    rl_free(l->want);
}

static realm_status run_layer(layers *l, rl_seq *s, uint32_t layer, uint32_t pos, uint32_t n)
{
    rl_job job = { .kind = RL_JOB_LAYER,
                   .seq = s,
                   .layer = layer,
                   .pos = pos,
                   .hidden = l->hidden,
                   .n_hidden = n };

    return rl_engine_run(l->h.e, &job, NULL);
}

/* ids [pos, pos + n) through all layers. */
static void feed(layers *l, rl_seq *s, uint32_t pos, uint32_t n)
{
    rl_model_embed(rl_lm_model(l->h.lm), l->ids + pos, n, l->hidden);
    for (uint32_t i = 0; i < l->n_layers; i++)
        assert_int_equal(run_layer(l, s, i, pos, n), REALM_OK);
}

static void check_head(layers *l, rl_seq *s, uint32_t n)
{
    rl_job job = {
        .kind = RL_JOB_HEAD, .seq = s, .hidden = l->hidden, .n_hidden = n, .logits = l->logits
    };

    assert_int_equal(rl_engine_run(l->h.e, &job, NULL), REALM_OK);
    assert_memory_equal(l->logits, l->want, l->h.n_vocab * sizeof(float));
}

static void same_bits_in(const char *arch, uint32_t max_rows)
{
    layers l;
    rl_seq *s;

    open_layers(&l, arch, max_rows);
    s = house_seq(&l.h, 1);
    feed(&l, s, 0, N);
    check_head(&l, s, N);
    feed(&l, s, 0, 20); /* anew, in pieces */
    for (uint32_t pos = 20; pos + 1 < N; pos += 43)
        feed(&l, s, pos, 43 < N - 1 - pos ? 43 : N - 1 - pos);
    feed(&l, s, N - 1, 1);
    check_head(&l, s, 1);
    house_truncate(&l.h, s, 30); /* ids after hidden states */
    house_logits(&l.h, s, l.ids + 30, N - 30, l.logits);
    assert_memory_equal(l.logits, l.want, l.h.n_vocab * sizeof(float));
    rl_seq_close(s);
    s = house_seq(&l.h, 1); /* hidden states after ids, the last of them still pending */
    house_logits(&l.h, s, l.ids, 60, l.logits);
    feed(&l, s, 60, N - 60);
    check_head(&l, s, N - 60);
    rl_seq_close(s);
    close_layers(&l);
}

static void same_bits(void **state)
{
    (void)state;
    same_bits_in("llama", 0);
    same_bits_in("gemma3", 16); /* more positions than rows of a step */
    same_bits_in("qwen3", 0);
}

/* A generation leaves its last id pending: it is computed before the layer runs. */
static void pending_ids_come_first(void **state)
{
    layers l;
    uint32_t out[10];
    rl_seq *s, *fresh;

    (void)state;
    open_layers(&l, "llama", 0);
    s = house_seq(&l.h, 1);
    fresh = house_seq(&l.h, 2);
    house_generate(&l.h, s, l.ids, 20, 0, out, 10);
    memcpy(l.ids + 20, out, sizeof out);
    feed(&l, s, 30, N - 30);
    house_logits(&l.h, fresh, l.ids, N, l.want);
    check_head(&l, s, N - 30);
    rl_seq_close(fresh);
    rl_seq_close(s);
    close_layers(&l);
}

static void layers_have_their_own_lengths(void **state)
{
    layers l;
    rl_seq *s, *f;
    rl_job job;

    (void)state;
    open_layers(&l, "llama", 0);
    s = house_seq(&l.h, 1);
    f = house_seq(&l.h, 1);
    rl_model_embed(rl_lm_model(l.h.lm), l.ids, N, l.hidden);
    assert_int_equal(run_layer(&l, s, 0, 1, 1), REALM_EINVAL); /* a gap */
    assert_int_equal(run_layer(&l, s, l.n_layers, 0, 1), REALM_EINVAL);
    assert_int_equal(run_layer(&l, s, 0, 0, 0), REALM_EINVAL);
    assert_int_equal(run_layer(&l, s, 0, UINT32_MAX, 2), REALM_ECONTEXT);
    assert_int_equal(run_layer(&l, s, 0, 0, 10), REALM_OK);
    assert_int_equal(rl_seq_len(s), 0); /* the shortest layer */
    assert_int_equal(run_layer(&l, s, 1, 5, 1), REALM_EINVAL);
    assert_int_equal(run_layer(&l, s, 0, 11, 1), REALM_EINVAL);
    assert_int_equal(run_layer(&l, s, 0, 4, 1), REALM_OK);     /* cut to 4, then one */
    assert_int_equal(run_layer(&l, s, 0, 6, 1), REALM_EINVAL); /* so 5 is next */
    job = (rl_job){ .kind = RL_JOB_LOGITS, .seq = s, .ids = l.ids, .n_ids = 1, .logits = l.logits };
    assert_int_equal(rl_engine_run(l.h.e, &job, NULL), REALM_EINVAL); /* uneven */
    job = (rl_job){ .kind = RL_JOB_FORK, .seq = s, .fork_to = f };
    assert_int_equal(rl_engine_run(l.h.e, &job, NULL), REALM_EINVAL);
    for (uint32_t i = 1; i < l.n_layers; i++)
        assert_int_equal(run_layer(&l, s, i, 0, 5), REALM_OK);
    assert_int_equal(rl_seq_len(s), 5);
    job = (rl_job){ .kind = RL_JOB_LOGITS, .seq = s, .logits = l.logits };
    assert_int_equal(rl_engine_run(l.h.e, &job, NULL), REALM_EINVAL); /* no id to compute again */
    house_fork(&l.h, s, f);
    house_logits(&l.h, f, l.ids, 3, l.logits);
    assert_int_equal(rl_seq_len(f), 8);
    rl_seq_close(s);
    rl_seq_close(f);
    close_layers(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits),
        cmocka_unit_test(pending_ids_come_first),
        cmocka_unit_test(layers_have_their_own_lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
