/* run: a program, its model, its prompt; the reply as it comes; where the time went. */
#include "cli/cli.h"

#include "cli/progress.h"
#include "cli/reply.h"
#include "cli/units.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX ((size_t)64 << 20)
#define WASM_MAX  ((size_t)256 << 20)
#define ARGS_MAX  256u

static double per_second(uint64_t n, uint64_t ns)
{
    return ns ? (double)n * 1e9 / (double)ns : 0;
}

/* "132 tokens in 3.1 s: load 0.41 s, prompt 12 at 231.0/s, decode 120 at 48.1/s, guest 0.02 ms CPU
 * per token" */
static void closing_line(const realm_run_result *x)
{
    char wall[RL_UNITS_TEXT], load[RL_UNITS_TEXT], cpu[RL_UNITS_TEXT];
    uint64_t tokens = x->generated_tokens ? x->generated_tokens : 1;

    (void)fprintf(stderr,
                  "realm: %s: load %s, prompt %llu tokens at %.1f/s, decode %llu tokens at %.1f/s, "
                  "guest %s CPU per token\n",
                  rl_units_show_ns(x->wall_ns, wall), rl_units_show_ns(x->load_ns, load),
                  (unsigned long long)x->prompt_tokens, per_second(x->prompt_tokens, x->prefill_ns),
                  (unsigned long long)x->generated_tokens,
                  per_second(x->generated_tokens, x->decode_ns),
                  rl_units_show_ns(x->cpu_ns / tokens, cpu));
}

static int outcome(const realm_run_result *x, bool quiet)
{
    realm_error err = { .status = x->status };
    int code = 0;

    (void)snprintf(err.text, sizeof err.text, "%s", x->text);
    if (x->status != REALM_OK) {
        code = rl_cli_fail(&err);
    } else if (x->exit_code) {
        (void)fprintf(stderr, "realm: the program answered %d\n", (int)x->exit_code);
        code = RL_EXIT_FAILED;
    }
    if (!quiet)
        closing_line(x);
    return code;
}

static int run(rl_cli *c, realm_run_options *o)
{
    bool quiet = rl_cli_has(c, "quiet");
    rl_reply reply = { .no_logs = quiet };
    realm_run *r;
    realm_error err;
    int code;

    if (realm_run_start(&r, c->r, o, &err) != REALM_OK)
        return rl_cli_fail(&err);
    rl_progress_clear();
    code = rl_reply_copy(&reply, r);
    realm_run_close(r);
    return code ? code : outcome(&reply.result, quiet);
}

static bool read_limits(const rl_cli *c, realm_run_options *o)
{
    return rl_cli_size(c, "max-memory", &o->max_memory) &&
           rl_cli_duration(c, "max-time", &o->max_time_ms) &&
           rl_cli_duration(c, "max-cpu", &o->max_cpu_ms) &&
           rl_cli_uint(c, "max-tokens", 1, UINT64_MAX >> 1, &o->max_tokens) &&
           rl_cli_size(c, "max-output", &o->max_output);
}

static int load(rl_cli *c, realm_program **p)
{
    realm_error err;
    rl_buf wasm;
    int code;

    rl_buf_init(&wasm, WASM_MAX);
    code = rl_cli_read_all(c->pos[0], &wasm);
    if (code == 0 && realm_program_load(p, c->r, wasm.data, wasm.len, &err) != REALM_OK)
        code = rl_cli_fail(&err);
    rl_buf_deinit(&wasm);
    return code;
}

/* The prompt, or all of standard input: at a terminal, say that it is waited for. */
static int read_input(const rl_cli *c, rl_buf *in)
{
    const char *prompt = rl_cli_get(c, "prompt");

    if (prompt)
        return rl_buf_adds(in, prompt) == REALM_OK ? 0 : RL_EXIT_FAILED;
    if (isatty(STDIN_FILENO))
        (void)fputs("realm: reading the prompt; end it with Ctrl-D on a line of its own\n", stderr);
    return rl_cli_read_all(NULL, in);
}

int rl_verb_run(rl_cli *c)
{
    realm_run_options o = { .model = rl_cli_get(c, "model"),
                            .no_layers = rl_cli_has(c, "no-layers") };
    realm_options lib = { .home = NULL };
    const char *args[ARGS_MAX];
    realm_program *p = NULL;
    rl_buf in;
    int code;

    if (!read_limits(c, &o))
        return RL_EXIT_USAGE;
    if (c->n_rest > ARGS_MAX - 1)
        return rl_cli_usage(c->verb, "more than %u arguments after --", ARGS_MAX - 1);
    args[0] = c->pos[0];
    for (unsigned i = 0; i < c->n_rest; i++)
        args[i + 1] = c->rest[i];
    o.args = args;
    o.n_args = c->n_rest + 1;
    lib.max_memory = o.max_memory;
    code = rl_cli_open(c, &lib);
    if (code == 0)
        code = load(c, &p);
    rl_buf_init(&in, INPUT_MAX);
    if (code == 0)
        code = read_input(c, &in);
    o.program = p;
    o.input = in.data;
    o.n_input = in.len;
    if (code == 0)
        code = run(c, &o);
    rl_buf_deinit(&in);
    realm_program_close(p);
    return code;
}
