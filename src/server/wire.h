/* Wire: parts that the wires of several APIs write alike. */
#ifndef RL_SERVER_WIRE_H
#define RL_SERVER_WIRE_H

#include "server/internal.h"
#include "server/said.h"

#include "base/json.h"

#include <stdint.h>

/* A text, or null for NULL. */
void rl_wire_put_text(rl_json *j, const char *key, const char *text);
/* "usage" of all choices. */
void rl_wire_put_usage(rl_json *j, const rl_said *s);
/* Opens an answer of that kind, or an event of one, up to its list of choices. */
void rl_wire_open_choices(rl_json *j, const rl_said *s, const char *object);
/* The end of a stream of such events: what was used, if that was asked for, and [DONE]. */
void rl_wire_close_stream(rl_said *s, const char *object, rl_buf *sse);
/* The tokens of a delta as entries {token, logprob, bytes, top_logprobs} with commas between them.
 */
void rl_wire_add_tokens(rl_buf *out, const json_t *tokens);

#endif
