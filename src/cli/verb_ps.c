/* ps: the servers of this registry that run now, and what they do. */
#include "cli/cli.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/json.h"
#include "cli/runfile.h"
#include "cli/table.h"
#include "cli/units.h"
#include "store/store.h"

#include <stdio.h>
#include <string.h>

#define OUT_MAX ((size_t)4 << 20)

/* A clock that was set back must not make an age of centuries. */
static uint64_t uptime_s(const rl_runfile_row *r)
{
    int64_t now = rl_clock_unix_s();

    return now > r->started_s ? (uint64_t)(now - r->started_s) : 0;
}

static void put_models(rl_json *j, const char *models)
{
    rl_json_array(j, "models");
    while (*models) {
        size_t n = strcspn(models, ",");

        rl_json_stringn(j, NULL, models, n);
        models += n + (models[n] == ',');
    }
    rl_json_end_array(j);
}

static void as_json(rl_buf *out, const rl_runfile_row *rows, size_t n)
{
    rl_json j = rl_json_on(out);

    rl_json_object(&j, NULL);
    rl_json_array(&j, "servers");
    for (size_t i = 0; i < n; i++) {
        rl_json_object(&j, NULL);
        rl_json_int(&j, "pid", rows[i].pid);
        rl_json_string(&j, "address", rows[i].address);
        put_models(&j, rows[i].models);
        rl_json_int(&j, "started", rows[i].started_s);
        rl_json_uint(&j, "uptime_seconds", uptime_s(&rows[i]));
        rl_json_uint(&j, "running", rows[i].running);
        rl_json_uint(&j, "waiting", rows[i].waiting);
        rl_json_uint(&j, "requests", rows[i].requests);
        rl_json_uint(&j, "prompt_tokens", rows[i].prompt_tokens);
        rl_json_uint(&j, "generated_tokens", rows[i].generated_tokens);
        rl_json_uint(&j, "tokens_per_second", rows[i].tokens_per_s);
        rl_json_uint(&j, "memory", rows[i].memory);
        rl_json_end_object(&j);
    }
    rl_json_end_array(&j);
    rl_json_end_object(&j);
    (void)rl_buf_adds(out, "\n");
}

static void as_table(rl_buf *out, const rl_runfile_row *rows, size_t n)
{
    static const char *const heads[] = { "PID",     "ADDRESS", "MODELS", "UPTIME",
                                         "RUNNING", "WAITING", "TOK/S",  "MEMORY" };
    char text[RL_UNITS_TEXT];
    rl_table t;

    rl_table_init(&t, "rllrrrrr");
    for (size_t i = 0; i < RL_COUNT(heads); i++)
        rl_table_add(&t, heads[i]);
    for (size_t i = 0; i < n; i++) {
        rl_table_addf(&t, "%lld", (long long)rows[i].pid);
        rl_table_add(&t, rows[i].address);
        rl_table_add(&t, rows[i].models[0] ? rows[i].models : "-");
        rl_table_add(&t, rl_units_show_ns(uptime_s(&rows[i]) * 1000000000u, text));
        rl_table_addf(&t, "%llu", (unsigned long long)rows[i].running);
        rl_table_addf(&t, "%llu", (unsigned long long)rows[i].waiting);
        rl_table_addf(&t, "%llu", (unsigned long long)rows[i].tokens_per_s);
        rl_table_add(&t, rl_units_show_size(rows[i].memory, text));
    }
    rl_table_show(&t, "", out);
    rl_table_deinit(&t);
}

int rl_verb_ps(rl_cli *c)
{
    rl_runfile_row *rows = NULL;
    rl_store *s;
    realm_error err;
    realm_status st;
    rl_buf out;
    size_t n;
    int code = rl_cli_store(c, &s);

    if (code)
        return code;
    st = rl_runfile_list(rl_store_home(s), &rows, &n, &err);
    rl_store_close(s);
    if (st != REALM_OK)
        return rl_cli_fail(&err);
    rl_buf_init(&out, OUT_MAX);
    if (rl_cli_has(c, "json"))
        as_json(&out, rows, n);
    else if (n)
        as_table(&out, rows, n);
    else
        (void)fputs("no realm serve of this registry runs\n", stderr);
    rl_free(rows);
    return rl_cli_print(&out);
}
