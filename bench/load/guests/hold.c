/* hold: says "here", sleeps until the time that the request names, says " and gone".
 *
 * For bench/load/hold.py: a guest that is parked in a host call, behind a stream that is open and
 * silent. The time is milliseconds since 1970: the first whole number behind "until" in the
 * request. */
#include "realm.h"

static const char word[] = "until ";

/* -> the time, or 0: none is named */
static int64_t read_time(const char *text, size_t n)
{
    size_t at = 0, matched = 0;
    int64_t ms = 0;

    while (at < n && matched < sizeof word - 1) {
        matched = text[at] == word[matched] ? matched + 1 : text[at] == word[0];
        at++;
    }
    for (; at < n && text[at] >= '0' && text[at] <= '9' && ms < INT64_MAX / 100; at++)
        ms = ms * 10 + (text[at] - '0');
    return ms;
}

REALM_EXPORT(run) int32_t run(void)
{
    size_t cap = (size_t)realm_input_len() + 1;
    char *request = realm_pages(cap);
    int32_t n = request ? realm_read_input(request, cap) : REALM_ENOMEM;
    int64_t end, now;

    if (n < 0)
        return realm_failed("request", n);
    end = read_time(request, (size_t)n);
    n = realm_say("here");
    now = realm_now_ms();
    if (n == 0 && end > now)
        n = realm_sleep_ms(end - now);
    if (n == 0)
        n = realm_say(" and gone");
    return n;
}
