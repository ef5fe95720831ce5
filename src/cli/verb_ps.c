/* ps: the servers of this registry that run now, and what they do. */
#include "cli/cli.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "cli/list.h"
#include "cli/runfile.h"
#include "cli/units.h"
#include "store/store.h"

#include <string.h>

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

static void server_json(rl_json *j, const void *row)
{
    const rl_runfile_row *r = row;

    rl_json_object(j, NULL);
    rl_json_int(j, "pid", r->pid);
    rl_json_string(j, "address", r->address);
    put_models(j, r->models);
    rl_json_int(j, "started", r->started_s);
    rl_json_uint(j, "uptime_seconds", uptime_s(r));
    rl_json_uint(j, "running", r->running);
    rl_json_uint(j, "waiting", r->waiting);
    rl_json_uint(j, "requests", r->requests);
    rl_json_uint(j, "prompt_tokens", r->prompt_tokens);
    rl_json_uint(j, "generated_tokens", r->generated_tokens);
    rl_json_uint(j, "tokens_per_second", r->tokens_per_s);
    rl_json_uint(j, "memory", r->memory);
    rl_json_end_object(j);
}

static void server_cells(rl_table *t, const void *row)
{
    const rl_runfile_row *r = row;
    char text[RL_UNITS_TEXT];

    rl_table_addf(t, "%lld", (long long)r->pid);
    rl_table_add(t, r->address);
    rl_table_add(t, r->models[0] ? r->models : "-");
    rl_table_add(t, rl_units_show_ns(uptime_s(r) * 1000000000u, text));
    rl_table_addf(t, "%llu", (unsigned long long)r->running);
    rl_table_addf(t, "%llu", (unsigned long long)r->waiting);
    rl_table_addf(t, "%llu", (unsigned long long)r->tokens_per_s);
    rl_table_add(t, rl_units_show_size(r->memory, text));
}

int rl_verb_ps(rl_cli *c)
{
    static const char *const heads[] = { "PID",     "ADDRESS", "MODELS", "UPTIME",
                                         "RUNNING", "WAITING", "TOK/S",  "MEMORY" };
    static const rl_list look = { .name = "servers",
                                  .align = "rllrrrrr",
                                  .heads = heads,
                                  .none = "no realm serve of this registry runs",
                                  .row = sizeof(rl_runfile_row),
                                  .json = server_json,
                                  .cells = server_cells };
    rl_runfile_row *rows = NULL;
    rl_store *s;
    realm_error err;
    realm_status st;
    size_t n;
    int code = rl_cli_store(c, &s);

    if (code)
        return code;
    st = rl_runfile_list(rl_store_home(s), &rows, &n, &err);
    rl_store_close(s);
    if (st != REALM_OK)
        return rl_cli_fail(&err);
    code = rl_list_print(c, &look, rows, n);
    rl_free(rows);
    return code;
}
