/* What the guest tests share: an engine and a runtime over real model files, programs by name or as
 * text, and runs whose reply is collected. A failure of the house itself fails the test with its
 * sentence. One house at a time; test thread only, but for house_start and house_finish. */
#ifndef ABI_HOUSE_H
#define ABI_HOUSE_H

#include "base/buf.h"
#include "guest/guest.h"

#include "../unit/test.h"

typedef struct house {
    rl_engine *engine;
    rl_runtime *rt;
} house;

/* The whole of a run, once it is over. */
typedef struct house_out {
    rl_run_result result;
    rl_buf text, log, events; /* events: one JSON per line */
} house_out;

/* Models: "tiny" (generated), and those of the catalogue in REALM_MODELS_DIR. kv_bytes 0: 256 MiB
 */
void house_open(house *h, size_t kv_bytes, uint32_t n_workers);
/* Also checks that every job of the engine was posted inside a guest's call. */
void house_close(house *h);
/* Path of the packed file of a model, packing it at its first use. */
realm_status house_model(const char *name, char *path, size_t cap, realm_error *err);

rl_program *house_program(house *h, const char *name); /* guests/NAME.wasm of the build */
rl_program *house_wat(house *h, const char *wat);      /* must be accepted */
/* -> the status of rl_program_load */
realm_status house_try_wat(house *h, rl_program **out, const char *wat, realm_error *err);

/* Starts a run; text input, tiny model, all limits default unless set in `opts`. */
rl_run *house_start(house *h, const rl_run_opts *opts);
/* Reads until it is over, closes it. */
void house_finish(rl_run *run, house_out *out);
void house_out_free(house_out *out);
/* Both. */
void house_run(house *h, const rl_run_opts *opts, house_out *out);

/* The reply as a string; "" without one. */
const char *house_text(const house_out *out);
/* Fails the test unless the run ended well, saying why it did not. */
void house_assert_ok(const house_out *out);

/* Options for a program with the tiny model and a text as its input. */
rl_run_opts house_opts(rl_program *p, const char *input);

#endif
