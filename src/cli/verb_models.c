/* models, rm, verify and prune: the registry. */
#include "cli/cli.h"

#include "base/alloc.h"
#include "cli/list.h"
#include "cli/progress.h"
#include "cli/show.h"
#include "cli/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define OUT_MAX ((size_t)64 << 20)

void rl_show_entry(rl_json *j, const realm_entry *e)
{
    rl_json_object(j, NULL);
    rl_json_string(j, "name", e->name);
    rl_json_string(j, "sha256", e->sha256);
    rl_json_string(j, "arch", e->arch);
    rl_json_uint(j, "parameters", e->n_params);
    rl_json_string(j, "source", e->source);
    rl_json_uint(j, "source_bytes", e->source_bytes);
    rl_json_uint(j, "packed_bytes", e->packed_bytes);
    rl_json_int(j, "imported", e->created_s);
    rl_json_bool(j, "usable", e->usable);
    rl_json_end_object(j);
}

static void model_json(rl_json *j, const void *row)
{
    rl_show_entry(j, row);
}

static void model_cells(rl_table *t, const void *row)
{
    const realm_entry *e = row;
    char text[RL_UNITS_TEXT];

    rl_table_add(t, e->name);
    rl_table_add(t, e->arch);
    rl_table_add(t, rl_units_show_count(e->n_params, text));
    rl_table_add(t, rl_units_show_size(e->packed_bytes, text));
    rl_table_add(t, rl_units_show_date(e->created_s, text));
    rl_table_add(t, e->usable ? "" : "not usable: import it again");
}

int rl_verb_models(rl_cli *c)
{
    static const char *const heads[] = { "NAME", "ARCH", "PARAMETERS", "SIZE", "IMPORTED", "" };
    static const rl_list look = {
        .name = "models",
        .align = "llrrll",
        .heads = heads,
        .none = "no models yet; import one: realm import FILE.gguf --name NAME",
        .row = sizeof(realm_entry),
        .json = model_json,
        .cells = model_cells
    };
    int code = rl_cli_open(c, NULL);
    realm_entry *list;
    realm_error err;
    size_t n;

    if (code)
        return code;
    if (realm_list(c->r, &list, &n, &err) != REALM_OK)
        return rl_cli_fail(&err);
    code = rl_list_print(c, &look, list, n);
    realm_free(list);
    return code;
}

int rl_verb_rm(rl_cli *c)
{
    int code = rl_cli_open(c, NULL);
    char text[RL_UNITS_TEXT];
    realm_error err;
    uint64_t freed;

    for (unsigned i = 0; code == 0 && i < c->n_pos; i++) {
        if (realm_remove(c->r, c->pos[i], &freed, &err) != REALM_OK)
            code = rl_cli_fail(&err);
        else if (freed)
            (void)fprintf(stderr, "removed %s, %s freed\n", c->pos[i],
                          rl_units_show_size(freed, text));
        else
            (void)fprintf(stderr, "removed %s\n", c->pos[i]);
    }
    return code;
}

/* ---- verify ---------------------------------------------------------------------------------- */

/* One name: a row of the report. -> whether it is good; an interrupt stops the verb */
static bool verify_one(rl_cli *c, const char *name, rl_json *j, rl_table *t, realm_error *err)
{
    realm_status st = realm_verify(c->r, name, err);

    rl_progress_clear();
    rl_json_object(j, NULL);
    rl_json_string(j, "name", name);
    rl_json_bool(j, "good", st == REALM_OK);
    if (st != REALM_OK)
        rl_json_string(j, "why", err->text);
    rl_json_end_object(j);
    if (st == REALM_ENOTFOUND && !rl_cli_has(c, "json")) {
        (void)rl_cli_fail(err); /* a slip of the pen is no verdict */
        return false;
    }
    rl_table_add(t, name);
    rl_table_add(t, st == REALM_OK ? "good" : err->text);
    return st == REALM_OK;
}

typedef struct subject {
    const char *name;
    bool is_program;
} subject;

/* The rows of one kind. */
static bool verify_kind(rl_cli *c, const subject *list, size_t n, bool programs, rl_json *j,
                        rl_table *t, realm_error *err)
{
    bool good = true;

    rl_json_array(j, programs ? "programs" : "models");
    for (size_t i = 0; i < n && !rl_cli_interrupted(); i++) {
        if (list[i].is_program != programs)
            continue;
        rl_progress_label(list[i].name);
        good = verify_one(c, list[i].name, j, t, err) && good;
    }
    rl_json_end_array(j);
    return good;
}

static int verify_these(rl_cli *c, const subject *list, size_t n)
{
    bool json = rl_cli_has(c, "json"), good;
    rl_buf out;
    rl_json j;
    rl_table t;
    realm_error err = { .status = REALM_OK };
    int code;

    rl_buf_init(&out, OUT_MAX);
    j = rl_json_on(&out);
    rl_table_init(&t, "ll");
    rl_json_object(&j, NULL);
    good = verify_kind(c, list, n, false, &j, &t, &err);
    good = verify_kind(c, list, n, true, &j, &t, &err) && good;
    rl_json_end_object(&j);
    (void)rl_buf_adds(&out, "\n");
    if (rl_cli_interrupted() && err.status == REALM_ECANCELLED) {
        rl_buf_deinit(&out);
        rl_table_deinit(&t);
        return rl_cli_fail(&err);
    }
    if (!json) {
        rl_buf_clear(&out);
        rl_table_show(&t, "", &out);
    }
    rl_table_deinit(&t);
    code = rl_cli_print(&out);
    return good ? code : RL_EXIT_FAILED;
}

static int verify_named(rl_cli *c)
{
    subject list[RL_CLI_MAX_POS];

    for (unsigned i = 0; i < c->n_pos; i++) {
        list[i].name = c->pos[i];
        list[i].is_program = realm_program_find(c->r, c->pos[i], NULL, NULL) == REALM_OK;
    }
    return verify_these(c, list, c->n_pos);
}

static int verify_all(rl_cli *c)
{
    realm_installed *programs = NULL;
    realm_entry *models = NULL;
    subject *list = NULL;
    size_t n_models, n_programs, n = 0;
    realm_error err;
    realm_status st = realm_list(c->r, &models, &n_models, &err);
    int code;

    if (st == REALM_OK)
        st = realm_program_list(c->r, &programs, &n_programs, &err);
    if (st == REALM_OK && !(list = rl_alloc_array(n_models + n_programs + 1, sizeof *list)))
        (void)realm_fail(&err, REALM_ENOMEM, "no memory for the list of names");
    for (size_t i = 0; list && i < n_models; i++)
        list[n++] = (subject){ .name = models[i].name };
    for (size_t i = 0; list && i < n_programs; i++)
        list[n++] = (subject){ .name = programs[i].name, .is_program = true };
    code = list ? verify_these(c, list, n) : rl_cli_fail(&err);
    rl_free(list);
    realm_free(programs);
    realm_free(models);
    return code;
}

int rl_verb_verify(rl_cli *c)
{
    int code;

    if (rl_cli_has(c, "all") == (c->n_pos > 0))
        return rl_cli_usage(c->verb, "give names, or --all");
    code = rl_cli_open(c, NULL);
    if (code)
        return code;
    return c->n_pos ? verify_named(c) : verify_all(c);
}

/* ---- prune ----------------------------------------------------------------------------------- */

int rl_verb_prune(rl_cli *c)
{
    bool dry = rl_cli_has(c, "dry-run");
    int code = rl_cli_open(c, NULL);
    char text[RL_UNITS_TEXT];
    realm_error err;
    uint64_t bytes;
    uint32_t n;
    rl_buf out;

    if (code)
        return code;
    if (realm_prune(c->r, dry, &n, &bytes, &err) != REALM_OK)
        return rl_cli_fail(&err);
    rl_buf_init(&out, OUT_MAX);
    if (rl_cli_has(c, "json")) {
        rl_json j = rl_json_on(&out);

        rl_json_object(&j, NULL);
        rl_json_uint(&j, "files", n);
        rl_json_uint(&j, "bytes", bytes);
        rl_json_bool(&j, "deleted", !dry);
        rl_json_end_object(&j);
        (void)rl_buf_adds(&out, "\n");
    } else if (n == 0) {
        (void)fputs("nothing to delete\n", stderr);
    } else {
        (void)rl_buf_addf(&out, "%s %" PRIu32 " file%s, %s\n", dry ? "would delete" : "deleted", n,
                          n == 1 ? "" : "s", rl_units_show_size(bytes, text));
    }
    return rl_cli_print(&out);
}
