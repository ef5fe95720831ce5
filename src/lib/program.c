/* Programs and their runs. */
#include "lib/internal.h"

#include "base/alloc.h"
#include "programs/builtin.h"

#include <stdio.h>
#include <string.h>

struct realm_program {
    rl_program *p; /* owned reference */
};

struct realm_run {
    rl_run *run; /* owned */
};

realm_status realm_program_load(realm_program **out, realm *r, const void *wasm, size_t n,
                                realm_error *err)
{
    realm_program *p;
    rl_runtime *rt;
    realm_status st = rl_lib_runtime(r, &rt, err);

    *out = NULL;
    if (st != REALM_OK)
        return st;
    p = rl_alloc(sizeof *p);
    if (!p)
        return realm_fail(err, REALM_ENOMEM, "no memory for the program");
    st = rl_program_load(&p->p, rt, wasm, n, err);
    if (st != REALM_OK) {
        rl_free(p);
        return st;
    }
    *out = p;
    return REALM_OK;
}

realm_status realm_program_chat(realm_program **out, realm *r, realm_error *err)
{
    return realm_program_load(out, r, realm_chat_wasm, realm_chat_wasm_size, err);
}

void realm_program_close(realm_program *p)
{
    if (!p)
        return;
    rl_program_unref(p->p);
    rl_free(p);
}

/* The name under which the run may open its model: its own, or sha256:<digest> for a path and for a
 * model that is open already. */
static realm_status name_model(realm *r, const realm_run_options *o, char name[RL_NAME_MAX + 1],
                               realm_error *err)
{
    char path[RL_LIB_PATH];
    rl_store_model m;
    realm_status st;

    memset(&m, 0, sizeof m);
    if (o->opened) {
        memcpy(m.sha256, o->opened->info.sha256, sizeof m.sha256);
    } else {
        st = rl_lib_locate(r, o->model, &m, path, err);
        if (st != REALM_OK)
            return st;
    }
    if (m.name[0]) {
        memcpy(name, m.name, RL_NAME_MAX + 1);
        return REALM_OK;
    }
    (void)snprintf(name, RL_NAME_MAX + 1, "sha256:%s", m.sha256);
    return rl_lib_pin(r, m.sha256, err);
}

realm_status realm_run_start(realm_run **out, realm *r, const realm_run_options *o,
                             realm_error *err)
{
    rl_run_opts opts = { .program = o->program->p,
                         .input = o->input,
                         .n_input = o->n_input,
                         .args = o->args,
                         .n_args = o->n_args,
                         .caps = RL_CAP_INFER | (o->no_layers ? 0u : (uint32_t)RL_CAP_LAYERS),
                         .max_memory = (size_t)o->max_memory,
                         .max_time_ms = o->max_time_ms,
                         .max_cpu_ms = o->max_cpu_ms,
                         .max_tokens = o->max_tokens,
                         .max_output = o->max_output };
    char name[RL_NAME_MAX + 1];
    realm_run *run;
    rl_runtime *rt;
    realm_status st = rl_lib_runtime(r, &rt, err);

    *out = NULL;
    if (st == REALM_OK && (o->model || o->opened)) {
        st = name_model(r, o, name, err);
        opts.model = name;
    }
    if (st != REALM_OK)
        return st;
    run = rl_alloc(sizeof *run);
    if (!run)
        return realm_fail(err, REALM_ENOMEM, "no memory for the run");
    st = rl_run_start(&run->run, rt, &opts, err);
    if (st != REALM_OK) {
        rl_free(run);
        return st;
    }
    *out = run;
    return REALM_OK;
}

realm_status realm_run_read(realm_run *run, realm_piece *kind, char *out, size_t cap, size_t *n,
                            int64_t wait_ms)
{
    rl_reply_kind k = RL_REPLY_TEXT;
    realm_status st = rl_run_read(run->run, &k, out, cap, n, wait_ms);

    *kind = k == RL_REPLY_TEXT    ? REALM_PIECE_TEXT
            : k == RL_REPLY_EVENT ? REALM_PIECE_EVENT
                                  : REALM_PIECE_LOG;
    return st;
}

bool realm_run_done(const realm_run *run, realm_run_result *out)
{
    rl_run_result x;

    if (!rl_run_done(run->run, &x))
        return false;
    *out = (realm_run_result){ .status = x.status,
                               .trapped = x.trapped,
                               .exit_code = x.exit_code,
                               .cpu_ns = x.cpu_ns,
                               .wall_ns = x.wall_ns,
                               .load_ns = x.load_ns,
                               .prompt_tokens = x.prompt_tokens,
                               .generated_tokens = x.generated_tokens,
                               .prefill_ns = x.prefill_ns,
                               .decode_ns = x.decode_ns,
                               .host_calls = x.host_calls,
                               .peak_memory = x.peak_memory };
    if (x.status != REALM_OK)
        (void)snprintf(out->text, sizeof out->text, "%s", x.err.text);
    return true;
}

void realm_run_cancel(realm_run *run)
{
    rl_run_cancel(run->run);
}

void realm_run_close(realm_run *run)
{
    if (!run)
        return;
    rl_run_close(run->run);
    rl_free(run);
}
