#include "base/utf8.h"

/* Length that the lead byte announces, 0 for a byte that cannot lead. */
static int lead_length(uint8_t b)
{
    if (b < 0x80)
        return 1;
    if (b >= 0xc2 && b <= 0xdf)
        return 2;
    if (b >= 0xe0 && b <= 0xef)
        return 3;
    return b >= 0xf0 && b <= 0xf4 ? 4 : 0;
}

/* The second byte's range depends on the lead: it is what excludes overlong forms, surrogates and
 * anything over U+10FFFF (RFC 3629 section 4). */
static bool second_ok(uint8_t lead, uint8_t b)
{
    if ((b & 0xc0) != 0x80)
        return false;
    switch (lead) {
    case 0xe0:
        return b >= 0xa0;
    case 0xed:
        return b <= 0x9f;
    case 0xf0:
        return b >= 0x90;
    case 0xf4:
        return b <= 0x8f;
    default:
        return true;
    }
}

int rl_utf8_next(const char *s, size_t n, uint32_t *cp)
{
    static const uint8_t lead_mask[5] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
    const uint8_t *p = (const uint8_t *)s;
    int len = lead_length(p[0]);
    uint32_t c;

    if (len == 0)
        return 0;
    c = p[0] & lead_mask[len];
    for (int i = 1; i < len; i++) {
        if ((size_t)i >= n)
            return -1;
        if (i == 1 ? !second_ok(p[0], p[1]) : (p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    *cp = c;
    return len;
}

int rl_utf8_put(uint32_t cp, char *out)
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xe0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
        out[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
    out[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}

bool rl_utf8_valid(const char *s, size_t n)
{
    uint32_t cp;

    for (size_t i = 0; i < n;) {
        int len = rl_utf8_next(s + i, n - i, &cp);

        if (len <= 0)
            return false;
        i += (size_t)len;
    }
    return true;
}

size_t rl_utf8_whole(const char *s, size_t n)
{
    uint32_t cp;

    for (size_t back = 1; back <= 3 && back <= n; back++) {
        uint8_t b = (uint8_t)s[n - back];

        if ((b & 0xc0) == 0x80)
            continue;
        return rl_utf8_next(s + n - back, back, &cp) == -1 ? n - back : n;
    }
    return n;
}
