#include "calls_bed.h"

#include "base/fs.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define MISTRAL_GGUF BED_MODELS "-mistral.gguf"

static void replace(rl_buf *data, const char *from, const char *to)
{
    size_t n = strlen(from), found = 0;

    assert_int_equal(strlen(to), n);
    for (size_t i = 0; i + n <= data->len; i++) {
        if (memcmp(data->data + i, from, n) == 0) {
            memcpy(data->data + i, to, n);
            found++;
        }
    }
    assert_true(found > 0);
}

/* The tiny model with another template, which knows tools and has a control token for calls. */
static void pack_mistral(void)
{
    rl_buf data;
    realm_error err;
    FILE *f;

    rl_buf_init(&data, (size_t)256 << 20);
    bed_must(rl_fs_read(TINY_GGUF, &data, &err), &err);
    replace(&data, "<|im_start|>", "[TOOL_CALLS]");
    replace(&data, "add_generation_prompt", "tools or true or true");
    f = fopen(MISTRAL_GGUF, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data.data, 1, data.len, f), data.len);
    assert_int_equal(fclose(f), 0);
    rl_buf_deinit(&data);
    bed_pack("mistral", MISTRAL_GGUF);
}

int calls_open(void **state)
{
    pack_mistral();
    return bed_open_tiny(state);
}

/* ---- what came ------------------------------------------------------------------------------- */

static void add_tokens(calls *c, const json_t *tokens)
{
    const json_t *t;
    size_t i;

    json_array_foreach(tokens, i, t)
    {
        assert_true(json_real_value(json_object_get(t, "logprob")) <= 0);
        (void)rl_buf_adds(&c->tokens, json_string_value(json_object_get(t, "text")));
    }
    c->n_tokens += (uint32_t)json_array_size(tokens);
    if (json_array_size(tokens) > c->most_tokens)
        c->most_tokens = (uint32_t)json_array_size(tokens);
}

static void add_event(calls *c, const json_t *e)
{
    const char *kind = json_string_value(json_object_get(e, "event"));
    const json_t *args = json_object_get(e, "args"), *name = json_object_get(e, "name");
    json_int_t i = json_integer_value(json_object_get(e, "index"));

    assert_int_equal(json_integer_value(json_object_get(e, "choice")), c->choice);
    assert_string_equal(c->finish, ""); /* the last event of all */
    if (strcmp(kind, "delta") == 0) {
        (void)rl_buf_adds(&c->text, json_string_value(json_object_get(e, "text")));
        add_tokens(c, json_object_get(e, "tokens"));
    } else if (strcmp(kind, "finish") == 0) {
        (void)snprintf(c->finish, sizeof c->finish, "%s",
                       json_string_value(json_object_get(e, "reason")));
    } else {
        assert_string_equal(kind, "tool");
        assert_null(json_object_get(e, "tokens"));
        assert_true(json_is_string(args));
        if (name) {
            assert_int_equal(i, c->n++);
            assert_true(c->n <= CALLS_MOST);
            rl_buf_init(&c->args[i], 1 << 16);
            assert_string_equal(json_string_value(args), "");
            (void)snprintf(c->name[i], sizeof c->name[i], "%s", json_string_value(name));
            (void)snprintf(c->id[i], sizeof c->id[i], "%s",
                           json_string_value(json_object_get(e, "id")));
            assert_int_equal(strlen(c->id[i]), 29);
            assert_true(strncmp(c->id[i], "call_", 5) == 0);
            assert_int_equal(strspn(c->id[i] + 5, "0123456789abcdef"), 24);
        } else {
            assert_int_equal(i, c->n - 1);
            assert_true(json_string_length(args) > 0);
            assert_null(json_object_get(e, "id"));
            (void)rl_buf_adds(&c->args[i], json_string_value(args));
        }
    }
}

void calls_read(calls *c, const bed_out *out, uint32_t choice)
{
    const char *at = out->events.data;

    memset(c, 0, sizeof *c);
    c->choice = choice;
    rl_buf_init(&c->text, 1 << 20);
    rl_buf_init(&c->tokens, 1 << 20);
    while (at && *at) {
        const char *end = strchr(at, '\n');
        json_error_t why;
        json_t *e = json_loadb(at, (size_t)(end - at), 0, &why);

        if (!e)
            fail_msg("%s: %.*s", why.text, (int)(end - at), at);
        add_event(c, e);
        json_decref(e);
        at = end + 1;
    }
}

void calls_free(calls *c)
{
    for (uint32_t i = 0; i < c->n; i++)
        rl_buf_deinit(&c->args[i]);
    rl_buf_deinit(&c->text);
    rl_buf_deinit(&c->tokens);
}

void calls_check(const calls *c)
{
    for (uint32_t i = 0; i < c->n; i++) {
        json_t *o = json_loadb(c->args[i].data, c->args[i].len, JSON_REJECT_DUPLICATES, NULL);
        const json_t *level = json_object_get(o, "level");

        if (!json_is_object(o))
            fail_msg("no object: %s", c->args[i].data);
        if (strcmp(c->name[i], "light") == 0) {
            assert_int_equal(json_object_size(o), 2);
            assert_true(json_is_boolean(json_object_get(o, "on")));
            assert_true(json_is_integer(level) && json_integer_value(level) >= 0 &&
                        json_integer_value(level) <= 9);
        } else {
            assert_string_equal(c->name[i], "halt");
            assert_int_equal(json_object_size(o), 0);
        }
        for (uint32_t k = 0; k < i; k++)
            assert_string_not_equal(c->id[i], c->id[k]);
        json_decref(o);
    }
}
