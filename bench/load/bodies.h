/* Bodies: what the requests say. Made from the prompt list, or the lines of a file in turn.
 *
 * A file's requests keep what they say, but stream, stream_options and, where missing, model and
 * max_tokens are set as the options have it. */
#ifndef RL_LOAD_BODIES_H
#define RL_LOAD_BODIES_H

#include "base/buf.h"
#include "load/args.h"
#include "realm/status.h"

#include <stdint.h>

#define RL_LOAD_BODY_MAX    (64u << 20)                       /* bytes of one request */
#define RL_LOAD_REQUEST_MAX (RL_LOAD_BODY_MAX + (128u << 10)) /* with its header */
#define RL_LOAD_FILE_MAX    (256u << 20)                      /* of a file of them */

typedef struct rl_load_line {
    char *json; /* owned */
    uint32_t max_tokens;
} rl_load_line;

typedef struct rl_load_bodies {
    const rl_load_options *o; /* borrowed */
    uint32_t n_words;         /* of a made prompt */
    char *extra;              /* owned; a JSON object, members of every made request */
    char *head;               /* owned; the HTTP request up to its length */
    rl_load_line *lines;      /* owned [n_lines]; or none: made prompts */
    uint32_t n_lines;
} rl_load_bodies;

/* file: JSON lines, or NULL. On failure b is empty. */
realm_status rl_load_bodies_init(rl_load_bodies *b, const rl_load_options *o, const char *file,
                                 realm_error *err) REALM_MUST_USE;
void rl_load_bodies_deinit(rl_load_bodies *b);

/* Writes the whole HTTP request of this number into `out` (cleared first). -> OK | ENOMEM, and how
 * many tokens the answer shall have */
realm_status rl_load_bodies_write(const rl_load_bodies *b, uint32_t number, rl_buf *out,
                                  uint32_t *max_tokens) REALM_MUST_USE;

/* A plain request for one token with a prompt of n_words words: its usage calibrates. */
realm_status rl_load_bodies_write_probe(const rl_load_bodies *b, uint32_t number, uint32_t n_words,
                                        rl_buf *out) REALM_MUST_USE;

#endif
