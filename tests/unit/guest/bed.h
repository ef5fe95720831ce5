/* A bed for guest tests: a runtime, programs written as text, runs whose reply is collected. */
#ifndef BED_H
#define BED_H

#include "guest/guest.h"

#include "base/buf.h"

#include "../test.h"

typedef struct bed_out {
    rl_run_result result;
    rl_buf text, log, events; /* events: one a line */
} bed_out;

/* Fails the test with the error's sentence. */
void bed_must(realm_status st, const realm_error *err);

/* Memory of runs: up to 16 MiB; 256 live guests; no models. */
rl_runtime *bed_open(const char *compiled_dir, uint32_t n_workers);
rl_runtime *bed_open_with(const rl_runtime_opts *o);

/* Loads a module given as text. */
realm_status bed_try(rl_program **out, rl_runtime *rt, const char *wat, realm_error *err);
rl_program *bed_wat(rl_runtime *rt, const char *wat); /* which must be accepted */

/* A module that imports realm.NAME as $f with that type and exports run with that body. */
rl_program *bed_call(rl_runtime *rt, const char *name, const char *type, const char *body);

rl_run *bed_start(rl_runtime *rt, const rl_run_opts *opts);
/* Reads until the run is over, then closes it. */
void bed_finish(rl_run *run, bed_out *out);
/* Both, and gives the program back. */
void bed_run(rl_runtime *rt, rl_program *p, rl_run_opts opts, bed_out *out);
void bed_free(bed_out *out);

/* Runs a program that must end with this status and a sentence that contains this text. */
void bed_expect(rl_runtime *rt, rl_program *p, rl_run_opts opts, realm_status st, const char *text);
/* Runs `run` of a program that takes what it needs from its input: what it answered. */
int32_t bed_answer(rl_runtime *rt, rl_program *p);

#endif
