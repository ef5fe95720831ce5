#include "../test.h"

#include "load/bodies.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static rl_load_options options(void)
{
    rl_load_options o = { .max_tokens = 9, .prompt_words = 20, .seed = 3, .temperature = 0.5 };

    assert_int_equal(rl_load_url_parse(&o.url, "http://[::1]:8080/api/v1", NULL), REALM_OK);
    return o;
}

/* Checks the header of a request. -> its body, to decref */
static json_t *body_of(const rl_buf *request, const char *path)
{
    const char *body = strstr(request->data, "\r\n\r\n");
    const char *length = strstr(request->data, "Content-Length: ");
    json_t *v;

    assert_non_null(body);
    assert_non_null(length);
    assert_true(length < body);
    body += 4;
    assert_int_equal(strtoul(length + 16, NULL, 10), request->len - (size_t)(body - request->data));
    assert_int_equal(strncmp(request->data, path, strlen(path)), 0);
    assert_non_null(strstr(request->data, "\r\nHost: [::1]:8080\r\n"));
    v = json_loads(body, 0, NULL);
    assert_non_null(v);
    return v;
}

static void chat_requests(void **state)
{
    rl_load_options o = options();
    rl_load_bodies b;
    uint32_t max_tokens;
    rl_buf out;
    json_t *v;

    (void)state;
    o.model = "a \"b\"";
    o.key = "secret";
    o.extra = "{\"top_k\": 1}";
    rl_buf_init(&out, RL_LOAD_REQUEST_MAX);
    assert_int_equal(rl_load_bodies_init(&b, &o, NULL, NULL), REALM_OK);
    assert_int_equal(rl_load_bodies_write(&b, 7, &out, &max_tokens), REALM_OK);
    assert_int_equal(max_tokens, 9);
    assert_non_null(strstr(out.data, "\r\nAuthorization: Bearer secret\r\n"));
    v = body_of(&out, "POST /api/v1/chat/completions HTTP/1.1\r\n");
    assert_string_equal(json_string_value(json_object_get(v, "model")), "a \"b\"");
    assert_int_equal(json_integer_value(json_object_get(v, "max_tokens")), 9);
    assert_int_equal(json_integer_value(json_object_get(v, "seed")), 10);
    assert_true(json_number_value(json_object_get(v, "temperature")) == 0.5);
    assert_int_equal(json_integer_value(json_object_get(v, "top_k")), 1);
    assert_true(json_is_true(json_object_get(v, "ignore_eos")));
    assert_true(json_is_true(json_object_get(v, "stream")));
    assert_true(
        json_is_true(json_object_get(json_object_get(v, "stream_options"), "include_usage")));
    assert_non_null(json_object_get(json_array_get(json_object_get(v, "messages"), 0), "content"));
    json_decref(v);
    rl_load_bodies_deinit(&b);
    rl_buf_deinit(&out);
}

static void plain_completions_and_probes(void **state)
{
    rl_load_options o = options();
    rl_load_bodies b;
    uint32_t max_tokens;
    rl_buf out;
    json_t *v;

    (void)state;
    o.completions = o.plain = o.eos = o.no_keepalive = true;
    rl_buf_init(&out, RL_LOAD_REQUEST_MAX);
    assert_int_equal(rl_load_bodies_init(&b, &o, NULL, NULL), REALM_OK);
    assert_int_equal(rl_load_bodies_write(&b, 7, &out, &max_tokens), REALM_OK);
    assert_non_null(strstr(out.data, "\r\nConnection: close\r\n"));
    v = body_of(&out, "POST /api/v1/completions HTTP/1.1\r\n");
    assert_true(json_is_false(json_object_get(v, "stream")));
    assert_null(json_object_get(v, "stream_options"));
    assert_null(json_object_get(v, "ignore_eos"));
    assert_non_null(json_string_value(json_object_get(v, "prompt")));
    json_decref(v);
    assert_int_equal(rl_load_bodies_write_probe(&b, 8, 30, &out), REALM_OK);
    v = body_of(&out, "POST /api/v1/completions HTTP/1.1\r\n");
    assert_int_equal(json_integer_value(json_object_get(v, "max_tokens")), 1);
    json_decref(v);
    rl_load_bodies_deinit(&b);
    rl_buf_deinit(&out);
}

static void extra_is_checked(void **state)
{
    static const char *const rows[] = { "[]", "x", "{\"stream\":false}", "{\"max_tokens\":1}", "" };
    rl_load_options o = options();

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rl_load_bodies b;
        realm_error err = { .text = "" };

        o.extra = rows[i];
        assert_int_equal(rl_load_bodies_init(&b, &o, NULL, &err), REALM_EINVAL);
        assert_non_null(strstr(err.text, "--extra"));
    }
}

/* A file with this text; the caller unlinks it. */
static void write_file(char path[64], const char *text)
{
    FILE *f;
    int fd;

    (void)snprintf(path, 64, "/tmp/realm-load-test-XXXXXX");
    fd = mkstemp(path);
    assert_true(fd >= 0);
    f = fdopen(fd, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void a_file_of_requests_goes_round(void **state)
{
    static const int expected[] = { 5, 6, 9, 5 };
    rl_load_options o = options();
    rl_load_bodies b;
    char path[64];
    rl_buf out;

    (void)state;
    write_file(path, "{\"max_tokens\":5,\"stream\":false,\"model\":\"x\"}\n\n"
                     "{\"max_completion_tokens\":6}\n{\"prompt\":\"a\"}");
    o.model = "m";
    rl_buf_init(&out, RL_LOAD_REQUEST_MAX);
    assert_int_equal(rl_load_bodies_init(&b, &o, path, NULL), REALM_OK);
    assert_int_equal(b.n_lines, 3);
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t max_tokens;
        json_t *v;

        assert_int_equal(rl_load_bodies_write(&b, i, &out, &max_tokens), REALM_OK);
        assert_int_equal(max_tokens, expected[i]);
        v = body_of(&out, "POST ");
        assert_true(json_is_true(json_object_get(v, "stream")));
        assert_string_equal(json_string_value(json_object_get(v, "model")), i % 3 ? "m" : "x");
        json_decref(v);
    }
    rl_load_bodies_deinit(&b);
    rl_buf_deinit(&out);
    (void)unlink(path);
}

static void a_bad_file_is_refused(void **state)
{
    static const char *const rows[] = { "", "\n\n", "{}\n[]\n", "{}\n{" };
    rl_load_options o = options();

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        rl_load_bodies b;
        realm_error err = { .text = "" };
        char path[64];

        write_file(path, rows[i]);
        assert_int_equal(rl_load_bodies_init(&b, &o, path, &err), REALM_EINVAL);
        assert_true(strlen(err.text) > 10);
        (void)unlink(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chat_requests),         cmocka_unit_test(plain_completions_and_probes),
        cmocka_unit_test(extra_is_checked),      cmocka_unit_test(a_file_of_requests_goes_round),
        cmocka_unit_test(a_bad_file_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
