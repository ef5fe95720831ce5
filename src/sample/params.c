/* Sampling parameters: their ranges, and reading them from a client's or guest's JSON. */
#include "sample/sampler.h"

#include "base/alloc.h"

#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#define BIAS_MAX 1e6

/* One table for both: name, place, range. */
typedef struct field {
    const char *name;
    size_t offset; /* of a float in rl_sample_params */
    double least, most;
} field;

static const field fields[] = {
    { "temperature", offsetof(rl_sample_params, temperature), 0, 100 },
    { "top_p", offsetof(rl_sample_params, top_p), 0, 1e9 },
    { "min_p", offsetof(rl_sample_params, min_p), 0, 0.99999 },
    { "typical_p", offsetof(rl_sample_params, typical_p), 0, 1e9 },
    { "repetition_penalty", offsetof(rl_sample_params, repetition_penalty), 0, 100 },
    { "presence_penalty", offsetof(rl_sample_params, presence_penalty), -2, 2 },
    { "frequency_penalty", offsetof(rl_sample_params, frequency_penalty), -2, 2 },
};

static float *field_of(rl_sample_params *p, const field *f)
{
    return (float *)(void *)((char *)p + f->offset);
}

static realm_status out_of_range(const field *f, realm_error *err)
{
    if (f->most >= 1e9)
        return realm_fail(err, REALM_EINVAL, "%s must be a number >= 0", f->name);
    return realm_fail(err, REALM_EINVAL, "%s must be a number from %g to %g", f->name, f->least,
                      f->most);
}

realm_status rl_sample_params_check(const rl_sample_params *p, realm_error *err)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const field *f = &fields[i];
        float v = *(const float *)(const void *)((const char *)p + f->offset);

        if (!((double)v >= f->least && (double)v <= f->most))
            return out_of_range(f, err);
    }
    if (p->n_bias && !p->bias)
        return realm_fail(err, REALM_EINVAL, "logit_bias: the list is missing");
    for (size_t i = 0; i < p->n_bias; i++)
        if (!(fabs((double)p->bias[i].bias) <= BIAS_MAX))
            return realm_fail(err, REALM_EINVAL,
                              "logit_bias: the bias of id %u must be from -1e6 to 1e6",
                              p->bias[i].id);
    return REALM_OK;
}

/* A decimal number without sign, spaces or leading zeros, at most `most`. */
static bool parse_number(const char *s, size_t n, uint64_t most, uint64_t *v)
{
    uint64_t x = 0;

    if (n == 0 || (n > 1 && s[0] == '0'))
        return false;
    for (size_t i = 0; i < n; i++) {
        uint64_t digit = (uint64_t)(unsigned char)s[i] - '0';

        if (digit > 9 || x > (most - digit) / 10)
            return false;
        x = x * 10 + digit;
    }
    *v = x;
    return true;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static realm_status read_floats(rl_sample_params *p, const json_t *o, realm_error *err)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        const field *f = &fields[i];
        const json_t *v = json_object_get(o, f->name);
        double x;

        if (!v || json_is_null(v))
            continue;
        x = json_number_value(v);
        if (!json_is_number(v) || !(x >= f->least && x <= f->most))
            return out_of_range(f, err);
        *field_of(p, f) = (float)x;
    }
    return REALM_OK;
}

/* Whole numbers below 2^32; 40.0 is 40. */
static realm_status read_uint(uint32_t *out, const json_t *o, const char *name, realm_error *err)
{
    const json_t *v = json_object_get(o, name);
    double x;

    if (!v || json_is_null(v))
        return REALM_OK;
    x = json_number_value(v);
    if (!json_is_number(v) || !(x >= 0 && x <= (double)UINT32_MAX) || x != floor(x))
        return realm_fail(err, REALM_EINVAL, "%s must be a whole number from 0 to %u", name,
                          UINT32_MAX);
    *out = (uint32_t)x;
    return REALM_OK;
}

/* After the string that begins at s[i]: one past its closing quote. The text is known to be JSON.
 */
static size_t after_string(const char *s, size_t i)
{
    for (i++; s[i] != '"'; i++)
        i += s[i] == '\\';
    return i + 1;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* The JSON library has no whole numbers over 2^63 - 1, a seed may have: its digits are taken from
 * the text, where the key stands in the outermost object. The text is known to be JSON. */
static bool seed_from_text(const char *s, size_t n, uint64_t *seed)
{
    bool found = false;
    size_t depth = 0, end;

    for (size_t i = 0; i < n;) {
        size_t begin = i;

        if (s[i] != '"') {
            depth += s[i] == '{' || s[i] == '[';
            depth -= s[i] == '}' || s[i] == ']';
            i++;
            continue;
        }
        i = after_string(s, i);
        if (depth != 1 || i - begin != 6 || memcmp(s + begin, "\"seed\"", 6) != 0)
            continue;
        while (i < n && is_space(s[i]))
            i++;
        if (i == n || s[i] != ':')
            continue; /* a value, not a key */
        for (i++; i < n && is_space(s[i]);)
            i++;
        for (end = i; end < n && s[end] != ',' && s[end] != '}' && !is_space(s[end]);)
            end++;
        found = parse_number(s + i, end - i, UINT64_MAX, seed);
    }
    return found;
}

static realm_status read_seed(rl_sample_params *p, const json_t *o, const char *json, size_t n,
                              realm_error *err)
{
    const json_t *v = json_object_get(o, "seed");
    uint64_t seed = 0;

    if (!v || json_is_null(v))
        return REALM_OK;
    if (json_is_integer(v) && json_integer_value(v) >= 0)
        seed = (uint64_t)json_integer_value(v);
    else if (!json_is_real(v) || !seed_from_text(json, n, &seed))
        return realm_fail(err, REALM_EINVAL, "seed must be a whole number from 0 to 2^64 - 1");
    p->seed = seed;
    p->has_seed = true;
    return REALM_OK;
}

static realm_status read_bias(rl_logit_bias **out, size_t *n, const json_t *o, realm_error *err)
{
    json_t *v = json_object_get(o, "logit_bias"), *b;
    const char *key;
    rl_logit_bias *list;
    size_t i = 0;

    if (!v || json_is_null(v))
        return REALM_OK;
    if (!json_is_object(v))
        return realm_fail(err, REALM_EINVAL, "logit_bias must be an object {\"id\": bias}");
    list = rl_alloc_array(json_object_size(v), sizeof *list);
    if (!list)
        return realm_fail(err, REALM_ENOMEM, "no memory for logit_bias");
    json_object_foreach(v, key, b)
    {
        uint64_t id;

        if (!parse_number(key, strlen(key), UINT32_MAX, &id) || !json_is_number(b) ||
            !(fabs(json_number_value(b)) <= BIAS_MAX)) {
            rl_free(list);
            return realm_fail(err, REALM_EINVAL,
                              "logit_bias: every key must be a token id and every value a number "
                              "from -1e6 to 1e6 (at \"%.40s\")",
                              key);
        }
        list[i++] = (rl_logit_bias){ (uint32_t)id, (float)json_number_value(b) };
    }
    *out = list;
    *n = i;
    return REALM_OK;
}

static realm_status parse_text(json_t **out, const char *json, size_t n, realm_error *err)
{
    json_error_t e;

    *out = json_loadb(json, n, 0, &e);
    if (!*out && json_error_code(&e) == json_error_numeric_overflow)
        *out = json_loadb(json, n, JSON_DECODE_INT_AS_REAL, &e);
    if (!*out && json_error_code(&e) == json_error_out_of_memory)
        return realm_fail(err, REALM_ENOMEM, "no memory for the sampling parameters");
    if (!*out)
        return realm_fail(err, REALM_EINVAL, "the sampling parameters are not JSON: %s", e.text);
    if (!json_is_object(*out)) {
        json_decref(*out);
        return realm_fail(err, REALM_EINVAL, "the sampling parameters are not a JSON object");
    }
    return REALM_OK;
}

realm_status rl_sample_params_parse(rl_sample_params *p, rl_logit_bias **bias, const char *json,
                                    size_t n, realm_error *err)
{
    rl_sample_params q = *p;
    rl_logit_bias *list = NULL;
    size_t n_list = 0;
    json_t *o;
    realm_status st;

    *bias = NULL;
    st = parse_text(&o, json, n, err);
    if (st != REALM_OK)
        return st;
    st = read_floats(&q, o, err);
    if (st == REALM_OK)
        st = read_uint(&q.top_k, o, "top_k", err);
    if (st == REALM_OK)
        st = read_uint(&q.choice, o, "choice", err);
    if (st == REALM_OK)
        st = read_seed(&q, o, json, n, err);
    if (st == REALM_OK)
        st = read_bias(&list, &n_list, o, err);
    if (st == REALM_OK) {
        if (list) {
            q.bias = list;
            q.n_bias = n_list;
        }
        *bias = list;
        *p = q;
    }
    json_decref(o);
    return st;
}
