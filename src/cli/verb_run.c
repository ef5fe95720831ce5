/* run: a program, its model, its prompt; the reply as it comes; where the time went. */
#include "cli/cli.h"

#include "base/assert.h"
#include "cli/progress.h"
#include "cli/reply.h"
#include "cli/units.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define INPUT_MAX ((size_t)64 << 20)
#define WASM_MAX  ((size_t)256 << 20)
#define ARGS_MAX  256u

#define DEFAULT_MEMORY ((uint64_t)64 << 20)

/* "decode 120 tokens at 48.1/s"; a generation that was broken off has no time, so no rate. */
static void phase(const char *name, uint64_t tokens, uint64_t ns)
{
    (void)fprintf(stderr, ", %s %llu token%s", name, (unsigned long long)tokens,
                  tokens == 1 ? "" : "s");
    if (ns)
        (void)fprintf(stderr, " at %.1f/s", (double)tokens * 1e9 / (double)ns);
}

/* "realm: 3.1 s: load 0.41 s, prompt 12 tokens at 231.0/s, decode 120 tokens at 48.1/s, guest 0.02
 * ms CPU per token"; without a model "realm: 3.1 s: guest 2.4 ms CPU" */
static void closing_line(const realm_run_result *x)
{
    uint64_t n = x->generated_tokens;
    char text[RL_UNITS_TEXT];

    (void)fprintf(stderr, "realm: %s: ", rl_units_show_ns(x->wall_ns, text));
    if (n || x->prompt_tokens || x->load_ns) {
        (void)fprintf(stderr, "load %s", rl_units_show_ns(x->load_ns, text));
        phase("prompt", x->prompt_tokens, x->prefill_ns);
        phase("decode", n, x->decode_ns);
        (void)fputs(", ", stderr);
    }
    (void)fprintf(stderr, "guest %s CPU%s\n", rl_units_show_ns(n ? x->cpu_ns / n : x->cpu_ns, text),
                  n ? " per token" : "");
}

/* What to do about a failure that an option of ours would have avoided; NULL: none. */
static const char *advice(const rl_cli *c, const realm_run_result *x)
{
    static const struct {
        const char *begins, *say;
    } rows[] = { { "token limit", "raise it with --max-tokens N" },
                 { "time limit", "raise it with --max-time TIME" },
                 { "CPU limit", "raise it with --max-cpu TIME" },
                 { "memory limit", "raise it with --max-memory SIZE" },
                 { "output limit", "raise it with --max-output SIZE" } };

    for (size_t i = 0; i < RL_COUNT(rows); i++) {
        if (strncmp(x->text, rows[i].begins, strlen(rows[i].begins)) == 0)
            return rows[i].say;
    }
    if (x->status == REALM_EDENIED && rl_cli_has(c, "no-layers"))
        return "leave --no-layers away if the program may have it";
    return rl_cli_get(c, "model") || x->trapped ? NULL
                                                : "if it needs a model, give one: --model NAME";
}

static int outcome(const rl_cli *c, const realm_run_result *x, bool quiet)
{
    realm_error err = { .status = x->status };
    const char *say = x->status == REALM_ECANCELLED ? NULL : advice(c, x);
    int code = 0;

    (void)snprintf(err.text, sizeof err.text, "%.170s%s%s", x->text, say ? "; " : "",
                   say ? say : "");
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
    return code ? code : outcome(c, &reply.result, quiet);
}

static bool read_limits(const rl_cli *c, realm_run_options *o)
{
    return rl_cli_size(c, "max-memory", &o->max_memory) &&
           rl_cli_duration(c, "max-time", &o->max_time_ms) &&
           rl_cli_duration(c, "max-cpu", &o->max_cpu_ms) &&
           rl_cli_uint(c, "max-tokens", 1, UINT64_MAX >> 1, &o->max_tokens) &&
           rl_cli_size(c, "max-output", &o->max_output);
}

/* What is no name of the registry: a path, also one that begins in the working folder. */
static bool is_file(const char *word)
{
    size_t n = strlen(word);

    return strchr(word, '/') || (n >= 5 && strcmp(word + n - 5, ".wasm") == 0);
}

/* The file of an installed program: *path, realm_free. -> 0 | an exit code */
static int find_installed(rl_cli *c, const char *name, char **path)
{
    realm_error err;
    realm_status st = realm_program_path(c->r, name, path, &err);

    if ((st == REALM_ENOTFOUND || st == REALM_EINVAL) && access(name, F_OK) == 0)
        (void)realm_fail(&err, st, "no program is named %.100s; for the file write ./%.100s", name,
                         name);
    return st == REALM_OK ? 0 : rl_cli_fail(&err);
}

/* Bytes of memory the program begins with; 0: not known. */
static uint64_t memory_at_first(rl_cli *c, const char *path)
{
    realm_error err;
    uint64_t bytes;
    json_t *o;
    char *text;

    if (realm_inspect(c->r, path, &text, &err) != REALM_OK)
        return 0;
    o = json_loads(text, JSON_ALLOW_NUL, NULL);
    bytes = (uint64_t)json_integer_value(json_object_get(
                json_object_get(json_object_get(o, "module"), "memory"), "min_pages"))
            << 16;
    json_decref(o);
    realm_free(text);
    return bytes;
}

/* The compiler knows no --max-memory: say it in its place. */
static int load_failed(rl_cli *c, const char *path, uint64_t max_memory, const realm_error *why)
{
    uint64_t least = memory_at_first(c, path), most = max_memory ? max_memory : DEFAULT_MEMORY;
    char a[RL_UNITS_TEXT], b[RL_UNITS_TEXT];
    realm_error err = { .status = why->status };

    if (least > most)
        (void)snprintf(err.text, sizeof err.text,
                       "%.100s begins with %s of memory, over the limit of %s; raise it with "
                       "--max-memory SIZE",
                       c->pos[0], rl_units_show_size(least, a), rl_units_show_size(most, b));
    else
        (void)snprintf(err.text, sizeof err.text, "%.100s: %.130s", c->pos[0], why->text);
    return rl_cli_fail(&err);
}

static int load(rl_cli *c, uint64_t max_memory, realm_program **p)
{
    const char *path = c->pos[0];
    char *installed = NULL;
    realm_error err;
    rl_buf wasm;
    int code = is_file(path) ? 0 : find_installed(c, path, &installed);

    if (installed)
        path = installed;
    rl_buf_init(&wasm, WASM_MAX);
    if (code == 0)
        code = rl_cli_read_all(path, &wasm);
    if (code == 0 && realm_program_load(p, c->r, wasm.data, wasm.len, &err) != REALM_OK)
        code = load_failed(c, path, max_memory, &err);
    rl_buf_deinit(&wasm);
    realm_free(installed);
    return code;
}

/* The prompt, or all of standard input. */
static int read_input(const rl_cli *c, rl_buf *in)
{
    const char *prompt = rl_cli_get(c, "prompt");

    if (prompt)
        return rl_buf_adds(in, prompt) == REALM_OK ? 0 : RL_EXIT_FAILED;
    rl_cli_invite("prompt");
    return rl_cli_read_all(NULL, in);
}

int rl_verb_run(rl_cli *c)
{
    realm_run_options o = { .model = rl_cli_get(c, "model"),
                            .no_layers = rl_cli_has(c, "no-layers") };
    realm_options lib = { .max_guests = 1 }; /* room for more takes milliseconds to lay out */
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
        code = load(c, o.max_memory, &p);
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
