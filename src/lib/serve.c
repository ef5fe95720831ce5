#include "lib/serve.h"

#include "lib/internal.h"
#include "programs/builtin.h"

#include "base/buf.h"

realm_status rl_lib_serve_begin(realm *r, rl_runtime **runtime, rl_lib_programs *programs,
                                const char **home, realm_error *err)
{
    rl_lib_programs *p = programs;
    realm_status st = rl_lib_runtime(r, runtime, err);

    *p = (rl_lib_programs){ 0 };
    *home = r->home;
    if (st == REALM_OK)
        st = rl_program_load(&p->chat, *runtime, realm_chat_wasm, realm_chat_wasm_size, err);
    if (st == REALM_OK)
        st = rl_program_load(&p->embed, *runtime, realm_embed_wasm, realm_embed_wasm_size, err);
    if (st == REALM_OK)
        st = rl_program_load(&p->tokenize, *runtime, realm_tokenize_wasm, realm_tokenize_wasm_size,
                             err);
    if (st == REALM_OK)
        st = rl_program_load(&p->detokenize, *runtime, realm_detokenize_wasm,
                             realm_detokenize_wasm_size, err);
    return st;
}

void rl_lib_serve_end(rl_lib_programs *programs)
{
    rl_program_unref(programs->chat);
    rl_program_unref(programs->embed);
    rl_program_unref(programs->tokenize);
    rl_program_unref(programs->detokenize);
}

realm_status rl_lib_serve_program(realm *r, const char *name, rl_program **out, realm_error *err)
{
    char path[RL_LIB_PATH];
    rl_store_program p;
    rl_runtime *rt = NULL;
    rl_buf wasm;
    realm_status st = rl_lib_program_find(r, name, &p, path, err);

    *out = NULL;
    rl_buf_init(&wasm, REALM_PROGRAM_MAX);
    if (st == REALM_OK)
        st = rl_lib_program_verify(r, &p, path, err);
    if (st == REALM_OK)
        st = rl_lib_runtime(r, &rt, err);
    if (st == REALM_OK)
        st = rl_fs_read(path, &wasm, err);
    if (st == REALM_OK)
        st = rl_program_load(out, rt, wasm.data, wasm.len, err);
    rl_buf_deinit(&wasm);
    return st;
}
