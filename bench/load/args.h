/* Args: the options of realm-load, from one table that is also its help. */
#ifndef RL_LOAD_ARGS_H
#define RL_LOAD_ARGS_H

#include "load/url.h"
#include "realm/status.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct rl_load_options {
    rl_load_url url;
    /* what is asked for */
    bool completions;                 /* /v1/completions in place of /v1/chat/completions */
    bool plain;                       /* no streams */
    bool eos;                         /* the model may end before max_tokens */
    const char *model, *key, *extra;  /* or NULL; extra: a JSON object */
    const char *bodies, *idle_bodies; /* files, or NULL */
    uint32_t prompt_tokens, max_tokens;
    uint32_t prompt_words; /* 0: found out by asking the server */
    double temperature;
    uint64_t seed;
    /* when */
    uint32_t clients; /* closed loop; the other modes alone: 0 */
    uint64_t requests;
    double seconds;
    double rate; /* open loop when > 0 */
    bool uniform;
    uint32_t max_clients; /* streams at once in open loop */
    bool no_keepalive;
    double timeout_s;
    uint32_t pause_ms; /* of a client whose request failed */
    uint32_t idle, slow, slow_ms;
    /* what is reported */
    double goodput_ms, goodput_factor, solo_ms;
    uint32_t pid;
    bool json;
    bool help;
} rl_load_options;

/* OK | EINVAL with a sentence. With help, nothing else is valid. Strings are argv's. */
realm_status rl_load_args_parse(rl_load_options *o, int argc, char *const *argv,
                                realm_error *err) REALM_MUST_USE;

/* The limit of a good stream's time in ms, or 0. */
double rl_load_args_good_ms(const rl_load_options *o);

void rl_load_args_help(void); /* on stdout */

#endif
