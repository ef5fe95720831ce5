/* A real model is computed by the kernels of the level that was chosen: prefill, decoding and the
 * output matrix, for every weight type the file has. A kernel that is missing from a level's table
 * falls to a lower level with the same bits, so only the counters tell; without this test it would
 * show as a slow release. usage: MODEL PACKED-FILE-TO-MAKE */
#include "models.h"
#include "run.h"

#include "base/alloc.h"

#include <string.h>
#include <unistd.h>

#define MAX_IDS 64u

static const char *model_name, *packed_path;

typedef uint64_t counts[RL_TYPE_COUNT][RL_LEVELS];

static void read_counts(counts out)
{
    for (uint32_t t = 0; t < RL_TYPE_COUNT; t++)
        for (int l = 0; l < RL_LEVELS; l++)
            out[t][l] = rl_type_get(t) ? rl_matmul_served((rl_type)t, (rl_level)l) : 0;
}

/* The types of the matrices in the layers, which every token passes through. */
static uint32_t types_of_layers(const rl_model *m, bool has[RL_TYPE_COUNT])
{
    const rl_gguf *g = rl_model_gguf(m);
    uint32_t n = 0;

    memset(has, 0, RL_TYPE_COUNT * sizeof *has);
    for (uint32_t i = 0; i < rl_gguf_n_tensors(g); i++) {
        const rl_gguf_tensor *t = rl_gguf_tensor_at(g, i);

        if (t->n_dims != 2 || t->name.n < 4 || memcmp(t->name.p, "blk.", 4) != 0)
            continue;
        n += !has[t->type];
        has[t->type] = true;
    }
    return n;
}

static void check_level(golden_run *r, const uint32_t *ids, uint32_t n, float *logits)
{
    rl_level level = r->model->kn->level;
    bool has[RL_TYPE_COUNT];
    counts before, after;

    assert_true(types_of_layers(r->model, has) >= 3); /* a mix, as people have them */
    read_counts(before);
    golden_logits(r, ids, n, n - 1, 1, logits); /* all but the last token at once, then the last */
    read_counts(after);
    for (uint32_t t = 0; t < RL_TYPE_COUNT; t++) {
        if (!rl_type_get(t))
            continue;
        for (int l = 0; l < RL_LEVELS; l++) {
            uint64_t calls = after[t][l] - before[t][l];

            if (calls && l != (int)level)
                fail_msg("%s at %s: %llu matmuls of %s were served by %s", model_name,
                         rl_level_name(level), (unsigned long long)calls, rl_type_get(t)->name,
                         rl_level_name((rl_level)l));
            if (!calls && l == (int)level && has[t])
                fail_msg("%s at %s: no matmul of %s was counted", model_name, rl_level_name(level),
                         rl_type_get(t)->name);
        }
    }
}

static void every_matmul_is_served_by_the_chosen_level(void **state)
{
    char path[1024], vector[1024];
    uint32_t ids[MAX_IDS], n, levels = 0;
    json_t *truth;
    float *logits;
    golden_run r;

    (void)state;
    (void)snprintf(vector, sizeof vector, "%s/tests/golden/vectors/f32-%s.json", REALM_SOURCE_DIR,
                   model_name);
    truth = golden_json(vector);
    model_path(path, sizeof path, "");
    (void)snprintf(path + strlen(path), sizeof path - strlen(path), "%s.gguf", model_name);
    golden_pack(path, packed_path, json_string_value(json_object_get(truth, "source_sha256")));
    golden_open(&r, packed_path, false, RL_KV_BF16, 2, 256);
    n = golden_ids(json_object_get(json_array_get(json_object_get(truth, "logits"), 0), "ids"), ids,
                   MAX_IDS);
    logits = rl_alloc_array(rl_model_get_info(r.model)->n_vocab, sizeof *logits);
    assert_non_null(logits);
    for (const rl_kernels *kn = NULL; (kn = golden_next_level(kn)); levels++) {
        r.model->kn = kn;
        check_level(&r, ids, n, logits);
        print_message("%s: all by %s\n", model_name, rl_level_name(kn->level));
    }
    assert_int_equal(levels, (int)rl_kernels_get()->level + 1);
    rl_free(logits);
    golden_close(&r);
    (void)unlink(packed_path);
    json_decref(truth);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_matmul_is_served_by_the_chosen_level),
    };

    if (argc != 3) {
        (void)fprintf(stderr, "usage: %s MODEL PACKED-FILE-TO-MAKE\n", argv[0]);
        return 2;
    }
    model_name = argv[1];
    packed_path = argv[2];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
