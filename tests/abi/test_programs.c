/* One example program with one model: test_programs PROGRAM MODEL. What a program prints for a
 * known prompt with greedy sampling must hold the expected words; two runs must agree. */
#include "house.h"

#include <stdio.h>
#include <string.h>

static house the;
static const char *program, *model;

static const char counting[] = "1 2 3 4 5 6 7"; /* every model goes on counting */
static const char question[] =
    "{\"messages\":[{\"role\":\"user\",\"content\":\"What is the capital of France? Answer in one"
    " word.\"}],\"max_tokens\":16,\"temperature\":0}";

typedef struct example {
    const char *program;
    const char *model; /* NULL: any */
    const char *input;
    const char *args[4]; /* after the program's name */
    const char *words[3];
    const char *refused; /* instead: the run fails and its log says this */
} example;

static const example examples[] = {
    { "hello", "tiny", "the water", { NULL }, { "" }, NULL },
    { "hello", NULL, counting, { NULL }, { "" }, NULL },
    { "memory64", "tiny", "the water", { NULL }, { "" }, NULL },
    { "memory64", NULL, counting, { NULL }, { " 8 9 10 11" }, NULL },
    { "stream", "tiny", "the \"water\"\n\x01", { NULL }, { "" }, NULL },
    { "stream", NULL, counting, { NULL }, { "" }, NULL },
    { "layers", "tiny", "the water was", { "24" }, { "" }, NULL },
    { "layers", NULL, counting, { "12" }, { " 8 9 10 11" }, NULL },
    { "chat", "tiny", question, { NULL }, { "" }, NULL },
    { "chat", "gemma3-270m", question, { NULL }, { NULL }, "template" },
    { "chat", NULL, question, { NULL }, { "Paris" }, NULL },
    { "pipeline", "tiny", "tiny\ntiny\nthe water was", { NULL }, { "tiny:", "\ntiny:" }, NULL },
    { "pipeline",
      NULL,
      counting,
      { "gemma3-270m", "qwen2.5-coder-0.5b" },
      { "gemma3-270m: 8 9 10", "\nqwen2.5-coder-0.5b:" },
      NULL },
};

static const example *find(void)
{
    for (size_t i = 0; i < sizeof examples / sizeof examples[0]; i++) {
        const example *e = &examples[i];

        if (strcmp(e->program, program) == 0 && (e->model == NULL || strcmp(e->model, model) == 0))
            return e;
    }
    fail_msg("no example for %s with %s", program, model);
    return NULL;
}

static void run_once(rl_program *p, const example *e, house_out *out)
{
    const char *args[5] = { e->program };
    rl_run_opts opts = house_opts(p, e->input);

    opts.model = model;
    opts.args = args;
    for (opts.n_args = 1; e->args[opts.n_args - 1] != NULL; opts.n_args++)
        args[opts.n_args] = e->args[opts.n_args - 1];
    house_run(&the, &opts, out);
}

static void the_program_says_what_it_should(void **state)
{
    const example *e = find();
    rl_program *p;
    house_out first, second;

    (void)state;
    house_open(&the, 0, 1);
    p = house_program(&the, program);
    run_once(p, e, &first);
    if (e->refused != NULL) {
        assert_int_not_equal(first.result.status, REALM_OK);
        assert_non_null(first.log.data);
        assert_non_null(strstr(first.log.data, e->refused));
    } else {
        run_once(p, e, &second);
        house_assert_ok(&first);
        house_assert_ok(&second);
        print_message("%s\n", house_text(&first));
        assert_true(first.text.len > 0);
        assert_true(first.result.generated_tokens > 0);
        if (strcmp(program, "stream") != 0) /* which draws with a seed of its own each time */
            assert_string_equal(house_text(&first), house_text(&second));
        for (size_t i = 0; i < 3 && e->words[i] != NULL; i++)
            if (strstr(house_text(&first), e->words[i]) == NULL)
                fail_msg("'%s' is not in '%s'", e->words[i], house_text(&first));
        house_out_free(&second);
    }
    house_out_free(&first);
    rl_program_unref(p);
    house_close(&the);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_program_says_what_it_should),
    };

    if (argc != 3)
        return 2;
    program = argv[1];
    model = argv[2];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
