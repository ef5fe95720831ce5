/* Any bytes as a configuration file: a status, a sentence with the file and line, and never a text
 * that is not what it says it is. */
#include "base/assert.h"
#include "base/toml.h"
#include "base/utf8.h"

#include <stdbool.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

typedef struct told {
    unsigned line, n;
} told;

static bool good_name(const char *s)
{
    return *s && strlen(s) <= RL_TOML_NAME &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") ==
               strlen(s);
}

static realm_status on_key(void *ctx, const char *table, const char *key, const rl_toml_value *v,
                           realm_error *err)
{
    told *t = ctx;

    RL_ASSERT(!*table || good_name(table));
    RL_ASSERT(!key == !v);
    RL_ASSERT(++t->n <= RL_TOML_NAMES);
    if (!key)
        return REALM_OK;
    RL_ASSERT(good_name(key) && v->line > t->line);
    t->line = v->line;
    if (v->type == RL_TOML_TEXT)
        RL_ASSERT(rl_utf8_valid(v->text, strlen(v->text)));
    if (v->type == RL_TOML_BOOL)
        RL_ASSERT(v->number == 0 || v->number == 1);
    RL_ASSERT(v->n_list <= RL_TOML_ITEMS);
    for (size_t i = 0; i < v->n_list; i++)
        RL_ASSERT(rl_utf8_valid(v->list[i], strlen(v->list[i])));
    return strcmp(key, "stop") == 0 ? realm_fail(err, REALM_EBUSY, "asked to") : REALM_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    told t = { .n = 0 };
    realm_error err = { .text = "" };
    realm_status st = rl_toml_parse((const char *)data, n, "fuzz.toml", on_key, &t, &err);

    RL_ASSERT(st == REALM_OK || st == REALM_EINVAL || st == REALM_EBUSY);
    if (st != REALM_OK)
        RL_ASSERT(strncmp(err.text, "fuzz.toml:", 10) == 0 && strlen(err.text) > 14);
    return 0;
}
