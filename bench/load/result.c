#include "load/result.h"

const char *rl_load_reason_key(rl_load_reason r)
{
    static const char *const keys[] = {
#define REASON_KEY(name, key, text) key,
        RL_LOAD_REASON_MAP(REASON_KEY)
#undef REASON_KEY
    };

    return keys[r];
}

const char *rl_load_reason_text(rl_load_reason r)
{
    static const char *const texts[] = {
#define REASON_TEXT(name, key, text) text,
        RL_LOAD_REASON_MAP(REASON_TEXT)
#undef REASON_TEXT
    };

    return texts[r];
}

/* Cut to fit; a server's words go to a terminal, so no control characters and nothing but ASCII. */
void rl_load_result_say(rl_load_result *r, const char *why)
{
    size_t n = 0;

    for (; why[n] && n < sizeof r->why - 1; n++)
        r->why[n] = why[n] >= ' ' && why[n] <= '~' ? why[n] : '?';
    r->why[n] = 0;
}
