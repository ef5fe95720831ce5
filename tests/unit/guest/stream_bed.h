/* A bed for tests of generations: the real engine with the tiny model, a runtime over both, and
 * guests that start a stream. One bed a program; its packed models have the program's name, since
 * programs run side by side. Failures end the test. */
#ifndef STREAM_BED_H
#define STREAM_BED_H

#include "bed.h"

extern rl_engine *bed_engine;
extern rl_runtime *bed_rt;

/* Packs a GGUF file as the model of that name. */
void bed_pack(const char *model, const char *gguf);

/* For cmocka's groups. Opening packs "tiny"; closing checks that no run is left, and invariant 5 of
 * the runtime: no job of the engine comes from anywhere but a guest's call (or bed_direct). */
int bed_open_tiny(void **state);
int bed_close_tiny(void **state);

/* What the engine says to BED_PROMPT without any guest, greedily. */
void bed_direct(uint32_t max_tokens, rl_buf *text);

/* ---- guests ---------------------------------------------------------------------------------- */

/* A module of these functions. Before them it has what they call: $input, $emit, $emit_event,
 * $open, $chat, $read, $event, $close, $wait, $splice, $generate, and $start, which starts a stream
 * for the Request in the input. */
rl_program *bed_module(const char *functions);
/* A program whose run does `body` with such a stream in $s, and $n to use. */
rl_program *bed_streamer(const char *body);

#define SPLICE(choice) "(call $splice (local.get $s) (i32.const " #choice "))"
#define COPY(call)                                                                                 \
    "(block $end (loop $l"                                                                         \
    " (local.set $n (call $" call " (local.get $s) (i32.const 8192) (i32.const 4096)))"            \
    " (br_if $end (i32.le_s (local.get $n) (i32.const 0)))"                                        \
    " (drop (call $emit (i32.const 8192) (local.get $n)))"                                         \
    " (br $l))) (local.get $n)"

/* ---- runs ------------------------------------------------------------------------------------ */

#define BED_PROMPT "the water was"
#define REQUEST(more)                                                                              \
    "{\"prompt\":\"" BED_PROMPT "\",\"params\":{\"temperature\":0,\"max_tokens\":24" more "}}"

rl_run_opts bed_with(const char *input); /* on "tiny", allowed to infer */

/* Runs that must end well. */
void bed_run_ok(rl_program *p, const char *input, bed_out *out);
void bed_stream(const char *body, const char *input, bed_out *out);
void bed_stream_on(const char *model, const char *body, const char *input, bed_out *out);

#endif
