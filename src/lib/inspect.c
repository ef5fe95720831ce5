/* What a file is: a GGUF model, a WebAssembly module, or what a name of the registry stands for. */
#include "lib/internal.h"

#include "base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define JSON_MAX ((size_t)256 << 20)
#define WASM_MAX ((size_t)256 << 20)

typedef enum file_kind { FILE_OTHER, FILE_GGUF, FILE_WASM } file_kind;

static realm_status look(const char *path, file_kind *kind, realm_error *err)
{
    char magic[4] = { 0 };
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t n = -1;

    if (fd >= 0)
        n = read(fd, magic, sizeof magic);
    if (n < 0) {
        realm_status st = errno == ENOENT ? REALM_ENOTFOUND : REALM_EIO;

        (void)realm_fail(err, st, "%s: %s", path, strerror(errno));
        if (fd >= 0)
            (void)close(fd);
        return st;
    }
    (void)close(fd);
    *kind = memcmp(magic, "GGUF", 4) == 0    ? FILE_GGUF
            : memcmp(magic, "\0asm", 4) == 0 ? FILE_WASM
                                             : FILE_OTHER;
    return REALM_OK;
}

static realm_status describe_file(const char *path, rl_buf *json, realm_error *err)
{
    rl_gguf *g = NULL;
    realm_status st = rl_gguf_open(&g, path, err);

    if (st == REALM_OK)
        st = rl_lib_describe_gguf(g, 0, json, err);
    rl_gguf_close(g);
    return st;
}

static realm_status describe_packed(const char *path, uint64_t bytes, rl_buf *json,
                                    realm_error *err)
{
    rl_model_opts opts = { .look = true, .whole = true };
    rl_model *m = NULL;
    realm_status st = rl_model_open(&m, path, &opts, err);

    if (st == REALM_OK)
        st = rl_lib_describe_gguf(rl_model_gguf(m), bytes, json, err);
    rl_model_close(m);
    return st;
}

/* The runtime's own object, with "kind" and the size put before its members. */
static realm_status describe_wasm(realm *r, const char *path, rl_buf *json, realm_error *err)
{
    rl_runtime *rt;
    rl_buf wasm, inner;
    realm_status st = rl_lib_runtime(r, &rt, err);

    if (st != REALM_OK)
        return st;
    rl_buf_init(&wasm, WASM_MAX);
    rl_buf_init(&inner, JSON_MAX);
    st = rl_fs_read(path, &wasm, err);
    if (st == REALM_OK)
        st = rl_program_inspect(rt, wasm.data, wasm.len, &inner, err);
    if (st == REALM_OK) {
        rl_json j = rl_json_on(json);

        rl_json_object(&j, NULL);
        rl_json_string(&j, "kind", "wasm");
        rl_json_uint(&j, "file_bytes", wasm.len);
        rl_json_raw(&j, "module", inner.data);
        rl_json_end_object(&j);
    }
    rl_buf_deinit(&inner);
    rl_buf_deinit(&wasm);
    return st;
}

static realm_status describe(realm *r, const char *what, rl_buf *json, realm_error *err)
{
    char path[RL_LIB_PATH];
    rl_store_model m;
    rl_store_program p;
    file_kind kind;
    realm_status st = look(what, &kind, err);

    if (st == REALM_ENOTFOUND && !rl_lib_is_path(what) && !strstr(what, ".wasm")) {
        if (rl_lib_program_find(r, what, &p, path, NULL) == REALM_OK)
            return describe_wasm(r, path, json, err);
        st = rl_lib_find(r, what, &m, path, err);
        if (st == REALM_EINVAL)
            return realm_fail(err, REALM_ENOTFOUND, "%.150s: no such file, and no name of a model",
                              what);
        return st == REALM_OK ? describe_packed(path, m.packed_bytes, json, err) : st;
    }
    if (st != REALM_OK)
        return st;
    if (kind == FILE_GGUF)
        return describe_file(what, json, err);
    if (kind == FILE_WASM)
        return describe_wasm(r, what, json, err);
    return realm_fail(
        err, REALM_EINVAL,
        "%.150s is neither a GGUF model nor a WebAssembly module (by its first bytes)", what);
}

realm_status realm_inspect(realm *r, const char *path_or_name, char **json, realm_error *err)
{
    realm_status st;
    rl_buf out;

    *json = NULL;
    rl_buf_init(&out, JSON_MAX);
    st = describe(r, path_or_name, &out, err);
    if (st == REALM_OK)
        *json = rl_buf_take(&out);
    if (st == REALM_OK && !*json)
        st = realm_fail(err, REALM_ENOMEM, "no memory to describe %.150s", path_or_name);
    rl_buf_deinit(&out);
    return st;
}
