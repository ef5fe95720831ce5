/* Sampling parameters and formats: OpenAI's names, ranges and defaults for those of a Request. */
#include "server/ask.h"

#include "base/dump.h"

#include <string.h>
#include <sys/random.h>

#define STOPS_MAX   4u
#define GRAMMAR_MAX ((size_t)64 << 10)

static realm_status number(const rl_reading *r, const char *key, double least, double most)
{
    json_t *v = rl_member(r->body, key);

    if (!v)
        return REALM_OK;
    if (!json_is_number(v) || !(json_number_value(v) >= least && json_number_value(v) <= most))
        return rl_ask_wrong(r, key, "is out of range, or no number");
    return rl_ask_set(r, r->params, key, v);
}

static realm_status numbers(const rl_reading *r)
{
    static const struct {
        const char *key;
        double least, most;
    } rows[] = { { "temperature", 0, 2 },          { "top_p", 0, 1 },
                 { "presence_penalty", -2, 2 },    { "frequency_penalty", -2, 2 },
                 { "repetition_penalty", 0, 100 }, { "min_p", 0, 0.99 } };
    realm_status st = REALM_OK;

    for (size_t i = 0; i < sizeof rows / sizeof *rows && st == REALM_OK; i++)
        st = number(r, rows[i].key, rows[i].least, rows[i].most);
    return st;
}

/* Any 64 bits are a seed; negative ones too, as OpenAI's are signed. Without one, each answer is
 * another. */
static realm_status seed(const rl_reading *r)
{
    const json_t *v = rl_member(r->body, "seed");
    uint64_t bits = 0;

    if (v && !json_is_integer(v))
        return rl_ask_wrong(r, "seed", "must be a whole number of 64 bits");
    if (v)
        bits = (uint64_t)json_integer_value(v);
    else if (getrandom(&bits, sizeof bits, 0) != (ssize_t)sizeof bits)
        return realm_fail(r->err, REALM_EIO, "no random seed");
    return rl_ask_put(r, r->params, "seed", json_integer((json_int_t)(bits & INT64_MAX)));
}

static realm_status limit(const rl_reading *r, const char *key, int64_t tokens)
{
    int64_t least = r->ask->echo ? 0 : 1; /* a prompt that is told is an answer by itself */
    realm_status st = rl_ask_whole(r, key, least, INT32_MAX, &tokens);

    return st == REALM_OK ? rl_ask_put(r, r->params, "max_tokens", json_integer(tokens)) : st;
}

static realm_status stop(const rl_reading *r)
{
    json_t *v = rl_member(r->body, "stop"), *item;
    size_t i;

    if (!v)
        return REALM_OK;
    if (!json_is_string(v) && !json_is_array(v))
        return rl_ask_wrong(r, "stop", "must be a text or a list of texts");
    if (json_array_size(v) > STOPS_MAX)
        return rl_ask_wrong(r, "stop", "may have 4 texts");
    json_array_foreach(v, i, item)
    {
        if (!json_is_string(item))
            return rl_ask_wrong(r, "stop", "must be a text or a list of texts");
    }
    return rl_ask_set(r, r->params, "stop", v);
}

/* {"<id>": -100..100}; which ids there are is the model's to say. */
static realm_status bias(const rl_reading *r)
{
    json_t *v = rl_member(r->body, "logit_bias"), *x;
    const char *key;

    if (!v)
        return REALM_OK;
    if (!json_is_object(v))
        return rl_ask_wrong(r, "logit_bias", "must be an object of token ids");
    json_object_foreach(v, key, x)
    {
        if (key[0] == 0 || key[strspn(key, "0123456789")] != 0 || !json_is_number(x) ||
            !(json_number_value(x) >= -100 && json_number_value(x) <= 100))
            return rl_ask_wrong(r, "logit_bias", "must be numbers from -100 to 100 by token id");
    }
    return rl_ask_set(r, r->params, "logit_bias", v);
}

/* Ours, as other servers have it. */
static realm_status ignore_eos(const rl_reading *r)
{
    bool on = false;
    realm_status st = rl_ask_bool(r, "ignore_eos", &on);

    return st == REALM_OK && on ? rl_ask_put(r, r->params, "ignore_eos", json_true()) : st;
}

/* Ours: texts inside a regular expression or a Lark grammar. */
static realm_status grammars(const rl_reading *r)
{
    static const char *const keys[] = { "regex", "lark" };
    realm_status st = REALM_OK;

    for (size_t i = 0; i < 2 && st == REALM_OK; i++) {
        json_t *v = rl_member(r->body, keys[i]);

        if (!v)
            continue;
        if (!json_is_string(v) || json_string_length(v) > GRAMMAR_MAX)
            st = rl_ask_wrong(r, keys[i], "must be a text of at most 65536 bytes");
        else
            st = rl_ask_set(r, r->params, keys[i], v);
        r->ask->grammar = keys[i];
    }
    return st;
}

/* OpenAI's defaults where they differ from a Request's: nothing is cut off the distribution. */
static realm_status defaults(const rl_reading *r)
{
    static const struct {
        const char *key;
        double value;
    } rows[] = { { "temperature", 1 }, { "top_p", 1 } };
    realm_status st = REALM_OK;
    int64_t top_k = 0;

    for (size_t i = 0; i < 2 && st == REALM_OK; i++)
        if (!json_object_get(r->params, rows[i].key))
            st = rl_ask_put(r, r->params, rows[i].key, json_real(rows[i].value));
    if (st == REALM_OK)
        st = rl_ask_whole(r, "top_k", 0, 1000000, &top_k);
    return st == REALM_OK ? rl_ask_put(r, r->params, "top_k", json_integer(top_k)) : st;
}

realm_status rl_ask_sampling(const rl_reading *r, const char *limit_key, int64_t default_tokens)
{
    realm_status st = numbers(r);

    if (st == REALM_OK)
        st = seed(r);
    if (st == REALM_OK)
        st = limit(r, limit_key, default_tokens);
    if (st == REALM_OK)
        st = stop(r);
    if (st == REALM_OK)
        st = bias(r);
    if (st == REALM_OK)
        st = ignore_eos(r);
    if (st == REALM_OK)
        st = grammars(r);
    return st == REALM_OK ? defaults(r) : st;
}

/* What a text must be, as a JSON schema; NULL: no such format. */
static json_t *schema_of(const json_t *format, const char *type, const char *schema_in)
{
    if (strcmp(type, "json_object") == 0)
        return json_pack("{s:s}", "type", "object");
    if (strcmp(type, "json_schema") != 0)
        return NULL;
    return json_incref(rl_member(schema_in ? rl_member(format, schema_in) : format, "schema"));
}

realm_status rl_ask_format(const rl_reading *r, const json_t *format, const char *param,
                           const char *schema_in)
{
    const char *type = json_string_value(rl_member(format, "type"));
    json_t *schema;
    rl_buf text;

    if (!format || (type && strcmp(type, "text") == 0))
        return REALM_OK;
    schema = type ? schema_of(format, type, schema_in) : NULL;
    if (!json_is_object(schema)) {
        json_decref(schema);
        return rl_ask_wrong(r, param, "must be text, json_object, or json_schema with a schema");
    }
    rl_buf_init(&text, GRAMMAR_MAX);
    if (rl_dump(&text, schema) != REALM_OK) {
        rl_buf_deinit(&text);
        json_decref(schema);
        return rl_ask_wrong(r, param, "has a schema of over 65536 bytes");
    }
    rl_buf_deinit(&text);
    r->ask->grammar = param;
    return rl_ask_put(r, r->params, "json_schema", schema);
}
