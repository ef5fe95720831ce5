#include "cli/cli.h"

#include "base/json.h"
#include "cli/table.h"

static const char *const words[] = { "good", "note", "bad" };
static const char *const marks[] = { "✓", "!", "✗" };

static void as_json(rl_buf *out, const realm_check *checks, size_t n)
{
    rl_json j = rl_json_on(out);

    rl_json_object(&j, NULL);
    rl_json_array(&j, "checks");
    for (size_t i = 0; i < n; i++) {
        rl_json_object(&j, NULL);
        rl_json_string(&j, "name", checks[i].name);
        rl_json_string(&j, "health", words[checks[i].health]);
        rl_json_string(&j, "value", checks[i].value);
        if (checks[i].health != REALM_GOOD)
            rl_json_string(&j, "advice", checks[i].advice);
        rl_json_end_object(&j);
    }
    rl_json_end_array(&j);
    rl_json_end_object(&j);
    (void)rl_buf_adds(out, "\n");
}

static void as_text(rl_buf *out, const realm_check *checks, size_t n)
{
    bool advice = false;
    rl_table t;

    rl_table_init(&t, "lll");
    for (size_t i = 0; i < n; i++) {
        rl_table_add(&t, marks[checks[i].health]);
        rl_table_add(&t, checks[i].name);
        rl_table_add(&t, checks[i].value);
        advice = advice || checks[i].health != REALM_GOOD;
    }
    rl_table_show(&t, "", out);
    rl_table_deinit(&t);
    if (!advice)
        return;
    (void)rl_buf_adds(out, "\n");
    for (size_t i = 0; i < n; i++) {
        if (checks[i].health != REALM_GOOD)
            (void)rl_buf_addf(out, "%s %s: %s\n", marks[checks[i].health], checks[i].name,
                              checks[i].advice);
    }
}

int rl_verb_doctor(rl_cli *c)
{
    int code = rl_cli_open(c, NULL);
    realm_check *checks;
    bool bad = false;
    realm_error err;
    rl_buf out;
    size_t n;

    if (code)
        return code;
    if (realm_doctor(c->r, &checks, &n, &err) != REALM_OK)
        return rl_cli_fail(&err);
    for (size_t i = 0; i < n; i++)
        bad = bad || checks[i].health == REALM_BAD;
    rl_buf_init(&out, (size_t)1 << 20);
    if (rl_cli_has(c, "json"))
        as_json(&out, checks, n);
    else
        as_text(&out, checks, n);
    realm_free(checks);
    code = rl_cli_print(&out);
    return bad ? RL_EXIT_FAILED : code;
}
