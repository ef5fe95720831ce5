#include "token/special.h"

#include "base/assert.h"
#include "token/token.h"

realm_status rl_special_init(rl_special *s, size_t n_bytes)
{
    RL_ASSERT(n_bytes < UINT32_MAX);
    *s = (rl_special){ .n_nodes = 1, .cap = (uint32_t)n_bytes + 1 };
    s->nodes = rl_alloc_array(s->cap, sizeof *s->nodes);
    if (!s->nodes || rl_map_init(&s->edges, n_bytes) != REALM_OK)
        return REALM_ENOMEM;
    s->nodes[0] = (rl_special_node){ RL_NO_TOKEN, RL_NO_TOKEN };
    return REALM_OK;
}

void rl_special_deinit(rl_special *s)
{
    if (!s->edges.borrowed)
        rl_free(s->nodes);
    rl_map_deinit(&s->edges);
    *s = (rl_special){ 0 };
}

static uint32_t child_for(rl_special *s, uint32_t node, uint8_t byte)
{
    uint64_t key = (uint64_t)node << 8 | byte;
    rl_map_slot *slot = rl_map_seek(&s->edges, key);

    if (!slot->key1) {
        RL_ASSERT(s->n_nodes < s->cap);
        rl_map_put(&s->edges, slot, key, s->n_nodes);
        s->nodes[s->n_nodes++] = (rl_special_node){ RL_NO_TOKEN, RL_NO_TOKEN };
    }
    return (uint32_t)slot->value;
}

void rl_special_add(rl_special *s, rl_text text, uint32_t id, bool always)
{
    uint32_t node = 0;

    RL_ASSERT(text.n > 0 && text.n <= RL_SPECIAL_MAX);
    for (size_t i = 0; i < text.n; i++)
        node = child_for(s, node, (uint8_t)text.p[i]);
    if (s->nodes[node].parsed == RL_NO_TOKEN)
        s->nodes[node].parsed = id;
    if (always && s->nodes[node].always == RL_NO_TOKEN)
        s->nodes[node].always = id;
    s->may_begin[(uint8_t)text.p[0]] |= always ? 3 : 2;
}

realm_status rl_special_finish(rl_special *s)
{
    return rl_map_shrink(&s->edges);
}

/* The longest special text that begins at text[at]; control tokens only if they end by parse_end.
 */
static bool match_at(const rl_special *s, const char *text, size_t n, size_t at, size_t parse_end,
                     rl_special_hit *hit)
{
    uint64_t node = 0;
    bool found = false;

    for (size_t i = at; i < n; i++) {
        uint32_t id;

        node = rl_map_find(&s->edges, node << 8 | (uint8_t)text[i]);
        if (node == RL_MAP_NONE)
            break;
        id = i < parse_end ? s->nodes[node].parsed : s->nodes[node].always;
        if (id != RL_NO_TOKEN) {
            *hit = (rl_special_hit){ .begin = at, .end = i + 1, .id = id };
            found = true;
        }
    }
    return found;
}

/* The end of the stretch from `at` on in which control tokens count. */
static size_t parse_end(rl_special_scope *scope, size_t n, size_t at)
{
    if (!scope->parse)
        return at;
    while (scope->next < scope->n_marks && scope->marks[scope->next] < at)
        scope->next++;
    return scope->next < scope->n_marks ? scope->marks[scope->next] : n;
}

bool rl_special_find(const rl_special *s, const char *text, size_t n, size_t from,
                     rl_special_scope *scope, rl_special_hit *hit)
{
    uint8_t want = scope->parse ? 2 : 1;

    for (size_t at = from; at < n; at++) {
        if ((s->may_begin[(uint8_t)text[at]] & want) &&
            match_at(s, text, n, at, parse_end(scope, n, at), hit))
            return true;
    }
    return false;
}

size_t rl_special_reach(const rl_special *s, const char *text, size_t n, size_t at)
{
    uint64_t node = 0;
    size_t end = at;

    if (!(s->may_begin[(uint8_t)text[at]] & 2))
        return at;
    for (size_t i = at; i < n; i++) {
        const rl_special_node *found;

        node = rl_map_find(&s->edges, node << 8 | (uint8_t)text[i]);
        if (node == RL_MAP_NONE)
            return end;
        found = &s->nodes[node];
        if (found->parsed != RL_NO_TOKEN && found->parsed != found->always)
            end = i + 1;
    }
    return n; /* what follows this text might finish one */
}
