/* Names and paths of models: telling them apart, making a name from a file, finding the packed
 * file. */
#include "lib/internal.h"

#include "base/alloc.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define PIN_PREFIX "sha256:"

bool rl_lib_is_path(const char *s)
{
    size_t n = strlen(s);

    return s[0] == '/' || strncmp(s, "./", 2) == 0 || strncmp(s, "../", 3) == 0 ||
           (n > 5 && strcasecmp(s + n - 5, ".gguf") == 0);
}

void rl_lib_name_of_path(const char *path, char *out)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    size_t n = strlen(base), k = 0;

    if (n > 5 && strcasecmp(base + n - 5, ".gguf") == 0)
        n -= 5;
    for (size_t i = 0; i < n && k < RL_NAME_MAX; i++) {
        char c = (char)tolower((unsigned char)base[i]);
        bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        bool mark = c == '_' || c == '-' || (c == '.' && k && out[k - 1] != '.');

        if (letter || (mark && k))
            out[k++] = c;
        else if (k && c != '.' && out[k - 1] != '-')
            out[k++] = '-';
    }
    while (k && (out[k - 1] == '-' || out[k - 1] == '.'))
        k--;
    out[k] = 0;
    if (k == 0)
        (void)snprintf(out, RL_NAME_MAX + 1, "model");
}

void rl_lib_list_names(const void *rows, size_t row_bytes, size_t n, const char *more, rl_buf *out)
{
    const char *name = rows;
    size_t i;

    (void)rl_buf_adds(out, n ? "there are: " : "there are none yet");
    for (i = 0; i < n && out->len + strlen(name) < 90; i++, name += row_bytes)
        (void)rl_buf_addf(out, "%s%s", i ? ", " : "", name);
    if (i < n)
        (void)rl_buf_addf(out, " and %zu more (%s)", n - i, more);
}

static realm_status unknown(rl_store *s, const char *name, realm_error *err)
{
    rl_store_model *rows = NULL;
    size_t n = 0;
    realm_status st;
    rl_buf have;

    rl_buf_init(&have, 512);
    if (rl_store_model_list(s, &rows, &n, NULL) == REALM_OK)
        rl_lib_list_names(rows, sizeof *rows, n, "realm models", &have);
    rl_free(rows);
    st = realm_fail(err, REALM_ENOTFOUND,
                    "no model is named %.64s; %s. Import one: realm import FILE.gguf --name NAME",
                    name, have.data ? have.data : "");
    rl_buf_deinit(&have);
    return st;
}

/* Fills path and checks that the packed file is there. Under the lock. */
static realm_status packed(rl_store *s, const rl_store_model *m, char *path, realm_error *err)
{
    struct stat sb;

    rl_store_packed_path(s, m->sha256, RL_PACK_LAYOUT, path, RL_LIB_PATH);
    if (stat(path, &sb) == 0 && (uint64_t)sb.st_size == m->packed_bytes)
        return REALM_OK;
    return realm_fail(err, REALM_EMODEL,
                      "the packed file of %.64s is missing or was made by another version; import "
                      "it again: realm import %.100s --name %.64s",
                      m->name, m->source, m->name);
}

realm_status rl_lib_find(realm *r, const char *name, rl_store_model *m, char *path,
                         realm_error *err)
{
    rl_store *s;
    realm_status st = rl_lib_store_lock(r, &s, err);

    if (st != REALM_OK)
        return st;
    st = rl_store_model_get(s, name, m, err);
    if (st == REALM_OK)
        st = packed(s, m, path, err);
    else if (st == REALM_ENOTFOUND)
        st = unknown(s, name, err);
    rl_lib_store_unlock(r);
    return st;
}

static bool is_file(const char *path)
{
    struct stat sb;

    return stat(path, &sb) == 0 && S_ISREG(sb.st_mode);
}

realm_status rl_lib_locate(realm *r, const char *name_or_path, rl_store_model *m, char *path,
                           realm_error *err)
{
    realm_import_options nameless = { .name = "" };
    realm_entry e;
    rl_store *s;
    realm_status st;

    if (!rl_lib_is_path(name_or_path)) {
        st = rl_lib_find(r, name_or_path, m, path, err);
        /* A file without a known ending, in the working folder. */
        if ((st != REALM_ENOTFOUND && st != REALM_EINVAL) || !is_file(name_or_path))
            return st;
    }
    st = realm_import(r, name_or_path, &nameless, &e, err);
    if (st == REALM_OK)
        st = rl_lib_store_lock(r, &s, err);
    if (st != REALM_OK)
        return st;
    *m = (rl_store_model){ .packed_bytes = e.packed_bytes, .n_params = e.n_params };
    (void)snprintf(m->sha256, sizeof m->sha256, "%s", e.sha256);
    rl_store_packed_path(s, m->sha256, RL_PACK_LAYOUT, path, RL_LIB_PATH);
    rl_lib_store_unlock(r);
    return REALM_OK;
}

realm_status rl_lib_pin(realm *r, const char *sha256, realm_error *err)
{
    char(*more)[RL_SHA256_HEX] = NULL;
    size_t i;

    (void)pthread_mutex_lock(&r->lock);
    for (i = 0; i < r->n_pins && strcmp(r->pins[i], sha256) != 0; i++)
        ;
    if (i == r->n_pins) {
        more = rl_realloc(r->pins, (r->n_pins + 1) * sizeof *r->pins);
        if (more) {
            r->pins = more;
            (void)snprintf(r->pins[r->n_pins++], RL_SHA256_HEX, "%s", sha256);
        }
    }
    (void)pthread_mutex_unlock(&r->lock);
    return i < r->n_pins ? REALM_OK : realm_fail(err, REALM_ENOMEM, "no memory to open the model");
}

static realm_status pinned(realm *r, const char *sha256, char *path, size_t cap, realm_error *err)
{
    rl_store *s;
    realm_status st = rl_lib_store_lock(r, &s, err);
    bool found = false;

    if (st != REALM_OK)
        return st;
    for (size_t i = 0; i < r->n_pins && !found; i++)
        found = strcmp(r->pins[i], sha256) == 0;
    if (found)
        rl_store_packed_path(s, sha256, RL_PACK_LAYOUT, path, cap);
    rl_lib_store_unlock(r);
    return found ? REALM_OK : realm_fail(err, REALM_ENOTFOUND, "no model has this digest");
}

realm_status rl_lib_list(void *ctx, rl_buf *json, realm_error *err)
{
    realm *r = ctx;
    rl_store_model *list = NULL;
    rl_json j = rl_json_on(json);
    size_t n = 0;
    rl_store *s;
    realm_status st = rl_lib_store_lock(r, &s, err);

    if (st != REALM_OK)
        return st;
    st = rl_store_model_list(s, &list, &n, err);
    rl_lib_store_unlock(r);
    rl_json_array(&j, NULL);
    for (size_t i = 0; i < n; i++) {
        rl_json_object(&j, NULL);
        rl_json_string(&j, "name", list[i].name);
        rl_json_string(&j, "architecture", list[i].arch);
        rl_json_uint(&j, "parameters", list[i].n_params);
        rl_json_string(&j, "sha256", list[i].sha256);
        rl_json_end_object(&j);
    }
    rl_json_end_array(&j);
    rl_free(list);
    return st;
}

realm_status rl_lib_resolve(void *ctx, const char *name, char *path, size_t cap, realm_error *err)
{
    rl_store_model m;
    char found[RL_LIB_PATH];
    realm *r = ctx;
    realm_status st;

    if (strncmp(name, PIN_PREFIX, strlen(PIN_PREFIX)) == 0 &&
        strlen(name) == strlen(PIN_PREFIX) + RL_SHA256_HEX - 1)
        return pinned(r, name + strlen(PIN_PREFIX), path, cap, err);
    st = rl_lib_find(r, name, &m, found, err);
    if (st == REALM_OK && (size_t)snprintf(path, cap, "%s", found) >= cap)
        st = realm_fail(err, REALM_ETOOBIG, "the path of the model is too long");
    return st;
}
