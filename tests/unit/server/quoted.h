/* JSON of the tests of the server, written with ' for ", which no text in them holds itself. */
#ifndef RL_TEST_QUOTED_H
#define RL_TEST_QUOTED_H

#include "../test.h"

#include "server/ask.h"

/* Valid until the next call; allocates nothing, so that memory can run out around it. */
const char *quoted(const char *json);
json_t *parsed(const char *json);

/* "output.0.text": members and indices. NULL: there is no such thing */
json_t *at(const json_t *v, const char *path);
const char *text_at(const json_t *v, const char *path);
/* The value at a path, whatever order its members have. */
void expect(const json_t *v, const char *path, const char *json);

realm_status read_body(rl_ask *a, rl_api api, rl_ask_why *why, const char *json);

#endif
