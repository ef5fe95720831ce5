/* status: does what its request orders, somewhere inside it:
 *
 *   #403:TEXT#   sets that status and says TEXT, in two pieces; #0:TEXT# sets none
 *   #s           sets 503 and says nothing
 *   #b           sets 400 and says 100,000 bytes
 *   #l           says something, sets 403 then, and says what came of that
 *   #c           choice 1 refuses with 429, after a while; the others answer
 *   #f           says something and that the rest was filtered
 *   #h           says each header it may hear of, and asks for those it may not */
#include "realm.h"

#define TEXT(s) (s), sizeof(s) - 1

static char request[65536];

static int32_t refuse(const char *p)
{
    uint32_t status = 0;
    size_t n = 0;

    while (*p >= '0' && *p <= '9')
        status = status * 10 + (uint32_t)(*p++ - '0');
    if (*p++ != ':')
        return REALM_EINVAL;
    while (p[n] != 0 && p[n] != '#')
        n++;
    if (status != 0 && realm_set_status(status) < 0)
        return REALM_EINVAL;
    realm_emit(p, n / 2);
    return realm_emit(p + n / 2, n - n / 2);
}

static int32_t say_much(void)
{
    realm_set_status(400);
    for (int i = 0; i < 10000; i++)
        realm_emit(TEXT("ten \xc3\xa9 \"\n "));
    return 0;
}

static int32_t set_late(void)
{
    realm_emit(TEXT("begun, "));
    if (realm_set_status(403) == REALM_ECONFLICT)
        return realm_emit(TEXT("too late"));
    return realm_emit(TEXT("taken"));
}

static int is_choice_1(void)
{
    static const char mark[] = "\"choice\":1";

    for (const char *p = request; *p != 0; p++) {
        size_t i = 0;

        while (mark[i] != 0 && p[i] == mark[i])
            i++;
        if (mark[i] == 0)
            return 1;
    }
    return 0;
}

static int32_t refuse_one(void)
{
    if (!is_choice_1())
        return realm_emit(TEXT("fine"));
    realm_sleep_ms(500);
    realm_set_status(429);
    return realm_emit(TEXT("one too many"));
}

static int32_t say_filtered(void)
{
    realm_emit(TEXT("nothing of "));
    return realm_emit_event(
        TEXT("{\"event\":\"finish\",\"choice\":0,\"reason\":\"content_filter\"}"));
}

static int32_t say_headers(void)
{
    static const char *const names[] = {
        "User-Agent", "accept-language",     "Traceparent", "X-Request-Id", "X-Session-Id",
        "Host",       "Authorization",       "Cookie",      "X-Api-Key",    "Api-Key",
        "Set-Cookie", "Proxy-Authorization", "X-Other",     "Content-Type",
    };
    char value[256];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t len = 0;
        int32_t n;

        while (names[i][len] != 0)
            len++;
        n = realm_header_get(names[i], len, value, sizeof value);
        realm_emit(names[i], len);
        realm_emit(TEXT("="));
        realm_emit(value, n > 0 ? (size_t)n : 0);
        realm_emit(TEXT("\n"));
    }
    return 0;
}

REALM_EXPORT(run) int32_t run(void)
{
    int32_t n = realm_read_input(request, sizeof request);
    const char *p = request;

    if (n < 0)
        return realm_failed("request", n);
    while (*p != 0 && *p != '#')
        p++;
    switch (*p == 0 ? 0 : p[1]) {
    case 's':
        return realm_set_status(503);
    case 'b':
        return say_much();
    case 'l':
        return set_late();
    case 'c':
        return refuse_one();
    case 'f':
        return say_filtered();
    case 'h':
        return say_headers();
    default:
        return refuse(p + (*p != 0));
    }
}
