/* chat: a conversation through the built-in chat program. Every reply is a run of it with the whole
 * conversation as its Request. A line editor with history on a terminal; plain lines from a pipe.
 */
#include "cli/cli.h"

#include "base/json.h"
#include "cli/editor.h"
#include "cli/progress.h"
#include "cli/reply.h"
#include "cli/text.h"
#include "cli/units.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TALK_MAX   ((size_t)64 << 20)
#define LONG_TIME  ((uint64_t)24 * 3600 * 1000)
#define MAX_OUTPUT ((uint64_t)16 << 20)

typedef struct chat {
    rl_cli *c;
    realm_program *program;
    realm_model *model; /* keeps the weights between replies */
    const char *system; /* or NULL; borrowed */
    rl_buf set_system;  /* of /system */
    rl_buf talk;        /* messages as JSON objects with commas between them */
    rl_buf params;      /* the Request's params, JSON */
    bool person;        /* a terminal on both sides */
} chat;

/* ---- parameters ------------------------------------------------------------------------------ */

static bool read_params(chat *k)
{
    const rl_cli *c = k->c;
    double temp = 0.7, top_p = 0.9, min_p = 0;
    uint64_t top_k = 40, tokens = 2048, seed = 0;
    rl_json j = rl_json_on(&k->params);

    if (!rl_cli_float(c, "temp", 0, 100, &temp) || !rl_cli_float(c, "top-p", 0, 1, &top_p) ||
        !rl_cli_float(c, "min-p", 0, 0.999, &min_p) ||
        !rl_cli_uint(c, "top-k", 0, 1u << 20, &top_k) ||
        !rl_cli_uint(c, "max-tokens", 1, 1u << 20, &tokens) ||
        !rl_cli_uint(c, "seed", 0, INT64_MAX, &seed))
        return false;
    rl_json_object(&j, NULL);
    rl_json_double(&j, "temperature", temp, 9);
    rl_json_double(&j, "top_p", top_p, 9);
    rl_json_double(&j, "min_p", min_p, 9);
    rl_json_uint(&j, "top_k", top_k);
    rl_json_uint(&j, "max_tokens", tokens);
    if (rl_cli_has(c, "seed"))
        rl_json_uint(&j, "seed", seed);
    rl_json_end_object(&j);
    return true;
}

/* ---- the conversation ------------------------------------------------------------------------ */

static void add_message(rl_buf *talk, const char *role, const char *text, size_t n)
{
    rl_json j = { .buf = talk, .comma = talk->len > 0 };

    rl_json_object(&j, NULL);
    rl_json_string(&j, "role", role);
    rl_json_stringn(&j, "content", text, n);
    rl_json_end_object(&j);
}

static void request(const chat *k, rl_buf *out)
{
    rl_buf head;

    rl_buf_init(&head, TALK_MAX);
    if (k->system)
        add_message(&head, "system", k->system, strlen(k->system));
    (void)rl_buf_addf(out, "{\"messages\":[%s%s%s],\"params\":%s,\"stream\":true}",
                      head.data ? head.data : "", head.len && k->talk.len ? "," : "",
                      k->talk.data ? k->talk.data : "", k->params.data);
    rl_buf_deinit(&head);
}

static void after_reply(const chat *k, const rl_reply *said)
{
    const realm_run_result *x = &said->result;
    double s = (double)x->decode_ns / 1e9;

    if (!k->person || !isatty(STDERR_FILENO))
        return;
    (void)fprintf(
        stderr, "%s%llu tokens, %.1f/s%s%s\n\n", rl_text_dim(true),
        (unsigned long long)x->generated_tokens, s > 0 ? (double)x->generated_tokens / s : 0,
        strcmp(said->finish, "length") == 0 ? ", cut off (--max-tokens)" : "", rl_text_dim(false));
}

static int failed(const chat *k, const realm_run_result *x)
{
    realm_error err = { .status = x->status };

    if (k->person && x->status == REALM_ECANCELLED) {
        (void)fprintf(stderr, "%sstopped%s\n\n", rl_text_dim(true), rl_text_dim(false));
        return RL_EXIT_INTERRUPTED;
    }
    if (x->status == REALM_ECONTEXT)
        (void)snprintf(err.text, sizeof err.text,
                       "the conversation no longer fits the model's context%s",
                       k->person ? "; /reset begins a new one" : "");
    else
        (void)snprintf(err.text, sizeof err.text, "%s", x->text);
    return rl_cli_fail(&err);
}

/* One reply to the conversation as it stands. -> 0, or an exit code with the reason told */
static int reply(chat *k, rl_buf *said)
{
    realm_run_options o = { .program = k->program,
                            .opened = k->model,
                            .max_time_ms = LONG_TIME,
                            .max_cpu_ms = LONG_TIME,
                            .max_tokens = UINT32_MAX,
                            .max_output = MAX_OUTPUT };
    rl_reply r = { .no_logs = true, .no_events = true, .lines = true, .keep = said };
    realm_error err;
    realm_run *run;
    rl_buf in;
    int code;

    rl_buf_init(&in, TALK_MAX);
    request(k, &in);
    o.input = in.data;
    o.n_input = in.len;
    if (in.failed)
        code = rl_cli_fail(&(realm_error){ .text = "the conversation is too long" });
    else if (realm_run_start(&run, k->c->r, &o, &err) != REALM_OK)
        code = rl_cli_fail(&err);
    else {
        rl_cli_hush(k->person);
        code = rl_reply_copy(&r, run);
        rl_cli_hush(false);
        realm_run_close(run);
        if (code == 0 && r.result.status != REALM_OK)
            code = failed(k, &r.result);
        else if (code == 0)
            after_reply(k, &r);
    }
    rl_buf_deinit(&in);
    return code;
}

/* A message and its reply join the conversation together; a failed one leaves it as it was. */
static int say(chat *k, const char *text, size_t n)
{
    size_t before = k->talk.len;
    rl_buf said;
    int code;

    rl_buf_init(&said, TALK_MAX);
    add_message(&k->talk, "user", text, n);
    code = reply(k, &said);
    if (code == 0 || (code == RL_EXIT_INTERRUPTED && said.len)) {
        add_message(&k->talk, "assistant", said.data ? said.data : "", said.len);
    } else {
        k->talk.len = before;
        if (k->talk.data)
            k->talk.data[before] = 0;
    }
    rl_buf_deinit(&said);
    return code;
}

/* ---- commands -------------------------------------------------------------------------------- */

static void reset(chat *k)
{
    rl_buf_clear(&k->talk);
    if (k->talk.data)
        k->talk.data[0] = 0;
    (void)fputs("A new conversation.\n\n", stderr);
}

static void set_system(chat *k, const char *text)
{
    rl_buf_clear(&k->set_system);
    (void)rl_buf_adds(&k->set_system, text);
    k->system = *text ? k->set_system.data : NULL;
    (void)fprintf(stderr, *text ? "The system message is set.\n" : "No system message.\n");
    reset(k);
}

static void help(void)
{
    (void)fputs("/help           this list\n"
                "/reset          begin a new conversation\n"
                "/system [TEXT]  set the system message and begin anew\n"
                "/exit           leave (or Ctrl-D)\n"
                "A backslash at the end of a line continues it. Ctrl-C stops a reply.\n\n",
                stderr);
}

/* -> false: leave */
static bool command(chat *k, const char *line)
{
    if (strcmp(line, "/exit") == 0 || strcmp(line, "/quit") == 0)
        return false;
    if (strcmp(line, "/help") == 0)
        help();
    else if (strcmp(line, "/reset") == 0)
        reset(k);
    else if (strncmp(line, "/system", 7) == 0 && (!line[7] || line[7] == ' '))
        set_system(k, line + 7 + strspn(line + 7, " "));
    else
        (void)fprintf(stderr, "There is no command %s; /help lists them.\n\n", line);
    return true;
}

/* ---- the loop -------------------------------------------------------------------------------- */

static int talk(chat *k, rl_editor *e)
{
    rl_buf line;
    int code = 0;

    rl_buf_init(&line, TALK_MAX);
    while (rl_editor_read(e, &line)) {
        const char *text = line.data ? line.data : "";

        if (text[0] == '/' && k->person) {
            if (!command(k, text))
                break;
        } else if (text[strspn(text, " \t")]) {
            if (k->person)
                rl_cli_clear_interrupt();
            code = say(k, text, line.len);
            /* A person goes on after a failure or a Ctrl-C, a pipe does not. */
            if (code && !k->person)
                break;
        }
    }
    if (k->person)
        rl_cli_clear_interrupt();
    rl_buf_deinit(&line);
    if (rl_editor_interrupted(e) || rl_cli_interrupted())
        return RL_EXIT_INTERRUPTED;
    return k->person ? 0 : code;
}

static void greet(const chat *k)
{
    const realm_model_info *i = realm_model_get_info(k->model);
    char params[RL_UNITS_TEXT];

    if (k->person)
        (void)fprintf(
            stderr, "%s: %s, %s parameters, context of %u tokens. /help lists commands.\n\n",
            k->c->pos[0], i->arch, rl_units_show_count(i->n_params, params), (unsigned)i->n_ctx);
}

static int converse(chat *k)
{
    rl_editor *e;
    realm_error err;
    int code;

    if (realm_model_open(&k->model, k->c->r, k->c->pos[0], false, &err) != REALM_OK)
        return rl_cli_fail(&err);
    rl_progress_clear();
    if (!realm_model_get_info(k->model)->has_chat) {
        (void)fprintf(
            stderr,
            "realm: %s has no chat template: it is a base model that only continues text. "
            "Chat with an instruct model, or let a program complete text: realm help run\n",
            k->c->pos[0]);
        return RL_EXIT_FAILED;
    }
    if (realm_program_chat(&k->program, k->c->r, &err) != REALM_OK)
        return rl_cli_fail(&err);
    greet(k);
    e = rl_editor_open(k->person, rl_cli_get(k->c, "home"));
    if (!e) {
        (void)fputs("realm: no memory for the line editor\n", stderr);
        return RL_EXIT_FAILED;
    }
    code = talk(k, e);
    rl_editor_close(e);
    return code;
}

int rl_verb_chat(rl_cli *c)
{
    chat k = { .c = c,
               .system = rl_cli_get(c, "system"),
               .person = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) };
    int code;

    rl_buf_init(&k.talk, TALK_MAX);
    rl_buf_init(&k.params, 4096);
    rl_buf_init(&k.set_system, TALK_MAX);
    code = read_params(&k) ? rl_cli_open(c, NULL) : RL_EXIT_USAGE;
    if (code == 0)
        code = converse(&k);
    realm_program_close(k.program);
    realm_model_close(k.model);
    rl_buf_deinit(&k.set_system);
    rl_buf_deinit(&k.params);
    rl_buf_deinit(&k.talk);
    return code;
}
