/* What the tests of tools without an engine share: the tiny model's vocabulary, and JSON. Failures
 * end the test. */
#ifndef TOOLS_BED_H
#define TOOLS_BED_H

#include "../test.h"

#include "token/token.h"

#include <jansson.h>

#define PICK(name) "{\"type\":\"function\",\"function\":{\"name\":\"" name "\"}}"

extern rl_gguf *tools_gguf;
extern rl_vocab *tools_vocab;

void tools_open(void);
void tools_close(void);

void tools_must(realm_status st, const realm_error *err);
json_t *tools_parsed(const char *json);

#endif
