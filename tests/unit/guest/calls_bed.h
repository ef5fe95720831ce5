/* A bed for tests of tools: requests with two tools in them, and what came of calls. */
#ifndef CALLS_BED_H
#define CALLS_BED_H

#include "stream_bed.h"

/* As bed_open_tiny, with the model "mistral" too. */
int calls_open(void **state);

/* ---- guests ---------------------------------------------------------------------------------- */

/* Waits for the stream, then copies what the call gives, until its end; `usage` may not be sent on,
 * so the copying ends before it. */
#define WAIT_COPY(call, emit, cap)                                                                 \
    "(i32.store (i32.const 16) (local.get $s))"                                                    \
    "(block $end (loop $l"                                                                         \
    " (drop (call $wait (i32.const 16) (i32.const 1) (i64.const -1)))"                             \
    " (local.set $n (call $" call " (local.get $s) (i32.const 8192) (i32.const " #cap ")))"        \
    " (br_if $end (i32.le_s (local.get $n) (i32.const 0)))"                                        \
    " (br_if $end (i32.eq (i32.load8_u (i32.const 8202)) (i32.const 117)))" /* "event":"u */       \
    " (drop (call $" emit " (i32.const 8192) (local.get $n)))"                                     \
    " (br $l))) (select (local.get $n) (i32.const 0) (i32.lt_s (local.get $n) (i32.const 0)))"

/* ---- requests -------------------------------------------------------------------------------- */

#define LIGHT                                                                                      \
    "{\"type\":\"function\",\"function\":{\"name\":\"light\",\"parameters\":{\"type\":\"object\"," \
    "\"properties\":{\"on\":{\"type\":\"boolean\"},\"level\":{\"type\":\"integer\","               \
    "\"minimum\":0,\"maximum\":9}},\"required\":[\"on\",\"level\"],"                               \
    "\"additionalProperties\":false}}}"
#define HALT                                                                                       \
    "{\"type\":\"function\",\"function\":{\"name\":\"halt\",\"parameters\":{\"type\":\"object\","  \
    "\"properties\":{},\"additionalProperties\":false}}}"
#define USER  "{\"messages\":[{\"role\":\"user\",\"content\":\"light?\"}],\"temperature\":1,"
#define TOOLS USER "\"tools\":[" LIGHT "," HALT "],"

/* ---- what came ------------------------------------------------------------------------------- */

#define CALLS_MOST 32

typedef struct calls {
    uint32_t n, choice;
    char name[CALLS_MOST][65], id[CALLS_MOST][64];
    rl_buf args[CALLS_MOST];
    rl_buf text, tokens; /* tokens: their texts */
    uint32_t n_tokens, most_tokens;
    char finish[16];
} calls;

/* Reads a run's events, each of which must be of this choice. */
void calls_read(calls *c, const bed_out *out, uint32_t choice);
void calls_free(calls *c);
/* Each call is one of the two, with arguments as its schema has them. */
void calls_check(const calls *c);

#endif
