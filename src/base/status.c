#include "realm/status.h"

#include <stdarg.h>
#include <stdio.h>

static const struct {
    realm_status st;
    int http;
    const char *name;
    const char *text;
} rows[] = {
#define ROW(name, number, http, text) { REALM_##name, http, #name, text },
    REALM_STATUS_MAP(ROW)
#undef ROW
};

#define N_ROWS (sizeof rows / sizeof rows[0])

realm_status realm_fail(realm_error *err, realm_status st, const char *fmt, ...)
{
    va_list args;

    if (!err)
        return st;
    err->status = st;
    va_start(args, fmt);
    (void)vsnprintf(err->text, sizeof err->text, fmt, args);
    va_end(args);
    return st;
}

/* The table is dense: row i holds the number -i (checked by the unit test). */
static unsigned row_of(realm_status st)
{
    int i = -(int)st;

    return i >= 0 && (unsigned)i < N_ROWS ? (unsigned)i : N_ROWS;
}

const char *realm_status_name(realm_status st)
{
    unsigned i = row_of(st);

    return i < N_ROWS ? rows[i].name : "?";
}

const char *realm_status_text(realm_status st)
{
    unsigned i = row_of(st);

    return i < N_ROWS ? rows[i].text : "unknown status";
}

int realm_status_http(realm_status st)
{
    unsigned i = row_of(st);

    return i < N_ROWS ? rows[i].http : 500;
}
