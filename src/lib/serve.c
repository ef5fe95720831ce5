#include "lib/serve.h"

#include "lib/internal.h"
#include "programs/chat_wasm.h"

realm_status rl_lib_serve_begin(realm *r, rl_runtime **runtime, rl_program **chat,
                                const char **home, realm_error *err)
{
    realm_status st = rl_lib_runtime(r, runtime, err);

    *chat = NULL;
    if (st == REALM_OK)
        st = rl_program_load(chat, *runtime, realm_chat_wasm, realm_chat_wasm_size, err);
    *home = r->home;
    return st;
}

void rl_lib_serve_end(rl_program *chat)
{
    rl_program_unref(chat);
}
