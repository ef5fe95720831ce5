#include "base/dump.h"

/* jansson hands out small pieces; the cap is the buffer's. */
static int add_piece(const char *piece, size_t n, void *ctx)
{
    return rl_buf_add(ctx, piece, n) == REALM_OK ? 0 : -1;
}

realm_status rl_dump(rl_buf *out, const json_t *v)
{
    int rc = v ? json_dump_callback(v, add_piece, out, JSON_COMPACT | JSON_ENCODE_ANY) : -1;

    if (rc == 0 && !out->failed)
        return REALM_OK;
    out->failed = true;
    return REALM_ENOMEM;
}
