#include "tools_bed.h"

rl_gguf *tools_gguf;
rl_vocab *tools_vocab;

void tools_must(realm_status st, const realm_error *err)
{
    if (st != REALM_OK)
        fail_msg("%s: %s", realm_status_name(st), err->text);
}

void tools_open(void)
{
    realm_error err;

    tools_must(rl_gguf_open(&tools_gguf, TINY_GGUF, &err), &err);
    tools_must(rl_vocab_open(&tools_vocab, tools_gguf, &err), &err);
}

void tools_close(void)
{
    rl_vocab_close(tools_vocab);
    rl_gguf_close(tools_gguf);
}

json_t *tools_parsed(const char *json)
{
    json_error_t why;
    json_t *v = json_loads(json, JSON_DECODE_ANY, &why);

    if (!v)
        fail_msg("%s: %s", why.text, json);
    return v;
}
