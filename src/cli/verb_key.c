/* key: who may call this Realm over a network. Keys are rows of the registry; the server looks at
 * them, so a new or revoked key needs no restart. */
#include "cli/cli.h"

#include "base/alloc.h"
#include "base/assert.h"
#include "cli/list.h"
#include "cli/sub.h"
#include "cli/units.h"
#include "store/store.h"

#include <stdio.h>
#include <string.h>

/* ---- new ------------------------------------------------------------------------------------- */

static int new_key(rl_cli *c)
{
    const char *label = rl_cli_get(c, "label");
    char text[RL_KEY_TEXT + 1];
    rl_store_key k;
    rl_store *s;
    realm_error err;
    realm_status st;
    rl_buf out;
    int code = rl_cli_store(c, &s);

    if (code)
        return code;
    st = rl_store_key_new(s, label ? label : "", text, &k, &err);
    rl_store_close(s);
    if (st != REALM_OK)
        return rl_cli_fail(&err);
    (void)fprintf(stderr,
                  "keep it: it is told once, only a digest of it stays here. Who loses it gets a "
                  "new one; realm key revoke %s ends this one\n",
                  k.id);
    rl_buf_init(&out, sizeof text + 1);
    (void)rl_buf_addf(&out, "%s\n", text);
    return rl_cli_print(&out);
}

/* ---- list ------------------------------------------------------------------------------------ */

static void json_time(rl_json *j, const char *key, int64_t unix_s)
{
    if (unix_s)
        rl_json_int(j, key, unix_s);
    else
        rl_json_null(j, key);
}

static void key_json(rl_json *j, const void *row)
{
    const rl_store_key *k = row;

    rl_json_object(j, NULL);
    rl_json_string(j, "id", k->id);
    rl_json_string(j, "label", k->label);
    rl_json_int(j, "created", k->created_s);
    json_time(j, "last_used", k->last_used_s);
    json_time(j, "revoked", k->revoked_s);
    rl_json_end_object(j);
}

static void key_cells(rl_table *t, const void *row)
{
    const rl_store_key *k = row;
    char text[RL_UNITS_TEXT];

    rl_table_add(t, k->id);
    rl_table_add(t, k->label);
    rl_table_add(t, rl_units_show_date(k->created_s, text));
    rl_table_add(t, k->last_used_s ? rl_units_show_date(k->last_used_s, text) : "never");
    if (k->revoked_s)
        rl_table_addf(t, "revoked %s", rl_units_show_date(k->revoked_s, text));
    else
        rl_table_add(t, "");
}

static int list_keys(rl_cli *c)
{
    static const char *const heads[] = { "ID", "LABEL", "CREATED", "LAST USED", "" };
    static const rl_list look = { .name = "keys",
                                  .align = "lllll",
                                  .heads = heads,
                                  .none = "no keys yet; make one: realm key new --label TEXT",
                                  .row = sizeof(rl_store_key),
                                  .json = key_json,
                                  .cells = key_cells };
    rl_store_key *list;
    rl_store *s;
    realm_error err;
    realm_status st;
    size_t n;
    int code = rl_cli_store(c, &s);

    if (code)
        return code;
    st = rl_store_key_list(s, &list, &n, &err);
    rl_store_close(s);
    if (st != REALM_OK)
        return rl_cli_fail(&err);
    code = rl_list_print(c, &look, list, n);
    rl_free(list);
    return code;
}

/* ---- revoke ---------------------------------------------------------------------------------- */

/* The id alone, or as it stands in a key that leaked: rk_<id> and whatever follows. */
static void id_of(const char *word, char id[RL_KEY_ID + 2])
{
    bool whole = strncmp(word, "rk_", 3) == 0;
    size_t n = whole ? strcspn(word + 3, "_") : strlen(word);

    /* one too many stays one too many */
    (void)snprintf(id, RL_KEY_ID + 2, "%.*s", n > RL_KEY_ID ? RL_KEY_ID + 1 : (int)n,
                   whole ? word + 3 : word);
}

static int revoke_key(rl_cli *c)
{
    char id[RL_KEY_ID + 2];
    rl_store *s;
    realm_error err;
    realm_status st;
    int code = rl_cli_store(c, &s);

    if (code)
        return code;
    id_of(c->pos[1], id);
    st = rl_store_key_revoke(s, id, &err);
    rl_store_close(s);
    if (st != REALM_OK)
        return rl_cli_fail(&err);
    (void)fprintf(stderr, "revoked %s\n", id);
    return RL_EXIT_OK;
}

int rl_verb_key(rl_cli *c)
{
    static const rl_sub subs[] = {
        { "new", 0, 0, "", "label", new_key },
        { "list", 0, 0, "", "json", list_keys },
        { "revoke", 1, 1, "ID", "", revoke_key },
    };

    return rl_cli_sub(c, subs, RL_COUNT(subs));
}
