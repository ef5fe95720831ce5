/* The wires of embeddings and of token lists: a program's bytes as JSON. Never streamed. */
#include "server/wire.h"

#include "base/alloc.h"
#include "base/base64.h"

#include <math.h>
#include <string.h>

/* ---- embeddings ------------------------------------------------------------------------------ */

/* A shorter embedding is the beginning of the long one, at length 1 again. */
static void normalize(float *x, uint32_t n)
{
    double sum = 0;

    for (uint32_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    for (uint32_t i = 0; i < n && sum > 0; i++)
        x[i] = (float)((double)x[i] / sqrt(sum));
}

static void put_vector(rl_json *j, const rl_said *s, const float *x, uint32_t n)
{
    rl_buf text;

    if (!s->ask->base64) {
        rl_json_array(j, "embedding");
        for (uint32_t i = 0; i < n; i++)
            rl_json_double(j, NULL, (double)x[i], 9);
        rl_json_end_array(j);
        return;
    }
    rl_buf_init(&text, SIZE_MAX);
    rl_base64(&text, x, n * sizeof *x);
    j->buf->failed = j->buf->failed || text.failed;
    rl_json_stringn(j, "embedding", text.data ? text.data : "", text.len);
    rl_buf_deinit(&text);
}

/* Vector i of width n, of which the first `kept` are told. -> false without memory */
static bool put_embedding(rl_json *j, const rl_said *s, size_t i, uint32_t n, uint32_t kept)
{
    float *x = rl_alloc_array(kept, sizeof *x);

    if (!x)
        return false;
    memcpy(x, s->choices[0].text.data + i * n * sizeof *x, kept * sizeof *x);
    if (kept < n)
        normalize(x, kept);
    rl_json_object(j, NULL);
    rl_json_string(j, "object", "embedding");
    rl_json_uint(j, "index", i);
    put_vector(j, s, x, kept);
    rl_json_end_object(j);
    rl_free(x);
    return true;
}

static void put_usage(rl_json *j, const rl_said *s)
{
    rl_json_object(j, "usage");
    rl_json_uint(j, "prompt_tokens", rl_said_prompt_tokens(s));
    rl_json_uint(j, "total_tokens", rl_said_prompt_tokens(s));
    rl_json_end_object(j);
}

static void whole_embed(rl_said *s, rl_buf *body)
{
    size_t inputs = json_array_size(json_object_get(s->ask->request, "input"));
    size_t floats = s->choices[0].text.len / sizeof(float);
    uint32_t n = (uint32_t)(floats / inputs);
    uint32_t kept = s->ask->dimensions ? s->ask->dimensions : n;
    rl_json j = rl_json_on(body);

    if (n == 0 || floats % inputs != 0 || s->choices[0].text.len % sizeof(float) != 0) {
        s->complaint = "the program gave no embeddings";
        return;
    }
    if (kept > n) {
        s->complaint = "dimensions is more than the model has";
        s->param = "dimensions";
        return;
    }
    rl_json_object(&j, NULL);
    rl_json_string(&j, "object", "list");
    rl_json_array(&j, "data");
    for (size_t i = 0; i < inputs && !s->failed; i++)
        s->failed = !put_embedding(&j, s, i, n, kept);
    rl_json_end_array(&j);
    rl_json_string(&j, "model", s->ask->model);
    put_usage(&j, s);
    rl_json_end_object(&j);
}

/* ---- tokens ---------------------------------------------------------------------------------- */

typedef struct record {
    uint32_t id, n;
    const char *text;
} record;

/* Steps to the next record of a tokenizing program's bytes. -> false: there is no whole one */
static bool next_record(const rl_buf *b, size_t *at, record *out)
{
    uint32_t head[2];

    if (b->len - *at < sizeof head)
        return false;
    memcpy(head, b->data + *at, sizeof head);
    *at += sizeof head;
    if (head[1] > b->len - *at)
        return false;
    *out = (record){ head[0], head[1], b->data + *at };
    *at += head[1];
    return true;
}

static uint64_t put_ids(rl_json *j, const rl_buf *b)
{
    uint64_t count = 0;
    size_t at = 0;
    record r;

    rl_json_array(j, "tokens");
    while (next_record(b, &at, &r)) {
        rl_json_uint(j, NULL, r.id);
        count++;
    }
    rl_json_end_array(j);
    return count;
}

static void put_texts(rl_json *j, const rl_buf *b)
{
    size_t at = 0;
    record r;

    rl_json_array(j, "token_strs");
    while (next_record(b, &at, &r))
        rl_json_stringn(j, NULL, r.text, r.n);
    rl_json_end_array(j);
}

static void whole_tokenize(rl_said *s, rl_buf *body)
{
    const rl_buf *b = &s->choices[0].text;
    rl_json j = rl_json_on(body);

    rl_json_object(&j, NULL);
    rl_json_uint(&j, "count", put_ids(&j, b));
    if (s->ask->token_strs)
        put_texts(&j, b);
    else
        rl_json_null(&j, "token_strs");
    rl_json_end_object(&j);
}

static void whole_detokenize(rl_said *s, rl_buf *body)
{
    const rl_buf *b = &s->choices[0].text;
    rl_json j = rl_json_on(body);

    rl_json_object(&j, NULL);
    rl_json_stringn(&j, "prompt", b->data ? b->data : "", b->len);
    rl_json_end_object(&j);
}

const rl_wire rl_wire_embed = { .id_prefix = "embd-", .whole = whole_embed };
const rl_wire rl_wire_tokenize = { .id_prefix = "tok-", .whole = whole_tokenize };
const rl_wire rl_wire_detokenize = { .id_prefix = "tok-", .whole = whole_detokenize };
