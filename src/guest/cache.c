/* Cache of compiled modules: machine code, so its folder is ours alone (mode 0700, owner checked)
 * and an entry is believed only with the digest written beside it.
 *
 * <sha256 of the wasm>-<16 digits of the configuration>.cwasm and the same name + ".sum". Anything
 * wrong with an entry means compiling again; a failure to write one is only logged. */
#include "guest/runtime.h"

#include "base/alloc.h"
#include "base/fs.h"
#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

realm_status rl_cache_open(char **out, const char *dir, realm_error *err)
{
    realm_status st = rl_fs_mkdirs(dir, err);
    struct stat sb;

    if (st != REALM_OK)
        return st;
    /* Not stat: a link somebody else made could be turned to another folder after the check. */
    if (lstat(dir, &sb) != 0)
        return realm_fail(err, REALM_EIO, "%s: %s", dir, strerror(errno));
    if (!S_ISDIR(sb.st_mode) || sb.st_uid != geteuid() || (sb.st_mode & 077) != 0)
        return realm_fail(err, REALM_EDENIED,
                          "%s: must be a folder of the user running Realm with mode 0700, for it "
                          "holds machine code",
                          dir);
    *out = rl_strdup(dir);
    return *out ? REALM_OK : realm_fail(err, REALM_ENOMEM, "no memory for the cache");
}

/* The file name of an entry. false: too long, then there is no cache. The configuration is in the
 * name, so that an upgrade, or a runtime of other limits, finds nothing instead of something wrong
 * which it would write anew, for the next one to do the same. */
static bool entry_path(const rl_runtime *rt, const void *wasm, size_t n, char *path, size_t cap)
{
    char wasm_hex[RL_SHA256_HEX], config_hex[RL_SHA256_HEX], config[128];
    int len = snprintf(config, sizeof config, "%s %llu", RL_WASM_CONFIG,
                       (unsigned long long)rl_wasm_reservation(rt->max_memory));

    rl_sha256(wasm, n, wasm_hex);
    rl_sha256(config, (size_t)len, config_hex);
    len = snprintf(path, cap, "%s/%s-%.16s.cwasm", rt->compiled_dir, wasm_hex, config_hex);
    return len > 0 && (size_t)len < cap;
}

/* wasmtime refuses entries of another version or processor itself, but it does not notice changed
 * code: that is what the digest is for. */
static realm_status read_entry(wasmtime_module_t **out, rl_runtime *rt, const char *path)
{
    char sum_path[4096], want[RL_SHA256_HEX] = "", have[RL_SHA256_HEX];
    rl_buf sum;
    wasmtime_error_t *e;

    if (snprintf(sum_path, sizeof sum_path, "%s.sum", path) >= (int)sizeof sum_path)
        return REALM_EINVAL;
    rl_buf_init(&sum, RL_SHA256_HEX);
    if (rl_fs_read(sum_path, &sum, NULL) == REALM_OK && sum.len == RL_SHA256_HEX - 1)
        memcpy(want, sum.data, sum.len);
    rl_buf_deinit(&sum);
    if (!want[0] || rl_fs_sha256(path, have, NULL, NULL, NULL) != REALM_OK ||
        memcmp(want, have, sizeof want - 1) != 0)
        return REALM_ENOTFOUND;
    e = wasmtime_module_deserialize_file(rt->wasm, path, out);
    if (!e)
        return REALM_OK;
    wasmtime_error_delete(e);
    return REALM_EINVAL;
}

/* The digest is written last: an entry without one does not count. Two writers at once write the
 * same bytes. */
static void write_entry(const wasmtime_module_t *m, const char *path)
{
    wasm_byte_vec_t code;
    wasmtime_error_t *e = wasmtime_module_serialize(m, &code);
    char sum_path[4096], hex[RL_SHA256_HEX];
    realm_error err = { 0 };
    realm_status st;

    if (e) {
        wasmtime_error_delete(e);
        return;
    }
    rl_sha256(code.data, code.size, hex);
    (void)snprintf(sum_path, sizeof sum_path, "%s.sum", path);
    st = rl_fs_write(path, code.data, code.size, &err);
    if (st == REALM_OK)
        st = rl_fs_write(sum_path, hex, sizeof hex - 1, &err);
    wasm_byte_vec_delete(&code);
    if (st != REALM_OK)
        rl_log(RL_LOG_WARN, "a compiled program was not cached: %s", err.text);
}

realm_status rl_module_compile(wasmtime_module_t **out, rl_runtime *rt, const void *wasm, size_t n,
                               realm_error *err)
{
    char path[4000];
    bool cached = rt->compiled_dir && entry_path(rt, wasm, n, path, sizeof path);
    wasmtime_error_t *e;

    if (cached && read_entry(out, rt, path) == REALM_OK) {
        atomic_fetch_add(&rt->modules_cached, 1);
        return REALM_OK;
    }
    e = wasmtime_module_new(rt->wasm, wasm, n, out);
    if (e)
        return rl_wasm_fail(err, REALM_EINVAL, "the program cannot be compiled", e);
    atomic_fetch_add(&rt->modules_compiled, 1);
    if (cached)
        write_entry(*out, path);
    return REALM_OK;
}
