/* The rules of realm_forward_layer: lengths per layer, gaps, truncation, starting anew, sizes. */
#include "realm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int n_bad;
static char info[65536];
static uint32_t ids[8] = { 1, 5 + 300, 5 + 310, 5 + 320, 5 + 330 };
static uint32_t n_embd, n_layers, n_vocab;
static float *hidden, *again;

static void expect(const char *what, int32_t got, int32_t want)
{
    if (got == want)
        return;
    printf("%s: %d, not %d\n", what, (int)got, (int)want);
    n_bad++;
}

#define EXPECT(call, want) expect(#call, (int32_t)(call), (int32_t)(want))

static uint32_t number_of(const char *key)
{
    const char *at = strstr(info, key);

    return at ? (uint32_t)strtoul(at + strlen(key), NULL, 10) : 0;
}

int main(void)
{
    size_t row;

    EXPECT(realm_get_model_metadata(0, info, sizeof info - 1) > 0, 1);
    n_embd = number_of("\"hidden_size\":");
    n_layers = number_of("\"num_layers\":");
    n_vocab = number_of("\"vocab_size\":");
    row = (size_t)n_embd * sizeof(float);
    hidden = calloc(8, row);
    again = calloc(8, row);
    EXPECT(realm_embed_tokens(0, ids, 4, hidden), 4 * row);
    EXPECT(realm_embed_tokens(0, &n_vocab, 1, hidden), REALM_EINVAL); /* no such id */
    memcpy(again, hidden, 4 * row);
    EXPECT(realm_forward_layer(0, 0, hidden, 4 * n_embd, 1, hidden), REALM_EINVAL); /* a gap */
    EXPECT(realm_forward_layer(0, 0, hidden, 3, 0, hidden), REALM_EINVAL);
    EXPECT(realm_forward_layer(0, n_layers, hidden, n_embd, 0, hidden), REALM_EINVAL);
    EXPECT(memcmp(hidden, again, 4 * row), 0); /* a failed call writes nothing */
    EXPECT(realm_forward_layer(0, 0, hidden, 4 * n_embd, 0, hidden), 4 * row);
    EXPECT(realm_forward_layer(0, 0, hidden, n_embd, 5, hidden), REALM_EINVAL);
    EXPECT(realm_forward_layer(0, 1, hidden, n_embd, 1, hidden), REALM_EINVAL); /* its own length */
    /* truncating and giving the same rows again gives the same numbers */
    EXPECT(realm_forward_layer(0, 0, again + 2 * n_embd, 2 * n_embd, 2, again + 2 * n_embd),
           2 * row);
    EXPECT(memcmp(hidden + 2 * n_embd, again + 2 * n_embd, 2 * row), 0);
    /* anew */
    EXPECT(realm_forward_layer(0, 0, again, 2 * n_embd, 0, again), 2 * row);
    EXPECT(memcmp(hidden, again, 2 * row), 0);
    printf("%d wrong\n", n_bad);
    return n_bad != 0;
}
