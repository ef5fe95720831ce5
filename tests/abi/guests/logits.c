/* Drives the layers over the prompt in its input and sends the raw logits, 4 bytes each. Its first
 * argument is how many tokens go through the layers at a time. */
#include "realm.h"

#include <stdlib.h>
#include <string.h>

static char prompt[8192], info[65536];
static uint32_t ids[2048];

static uint32_t number_of(const char *key)
{
    const char *at = strstr(info, key);

    return at ? (uint32_t)strtoul(at + strlen(key), NULL, 10) : 0;
}

int main(int argc, char **argv)
{
    uint32_t chunk = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1;
    int32_t len = realm_read_input(prompt, sizeof prompt);
    int32_t n = realm_encode_tokens(0, prompt, (size_t)len, ids, sizeof ids);
    int32_t st = realm_get_model_metadata(0, info, sizeof info - 1);
    uint32_t n_embd = number_of("\"hidden_size\":"), n_layers = number_of("\"num_layers\":");
    uint32_t n_vocab = number_of("\"vocab_size\":");
    float *hidden = malloc((size_t)chunk * n_embd * sizeof(float));
    float *logits = malloc((size_t)n_vocab * sizeof(float));

    for (uint32_t at = 0; st >= 0 && at < (uint32_t)n; at += chunk) {
        uint32_t rows = (uint32_t)n - at < chunk ? (uint32_t)n - at : chunk;

        st = realm_embed_tokens(0, ids + at, rows, hidden);
        for (uint32_t layer = 0; st >= 0 && layer < n_layers; layer++)
            st = realm_forward_layer(0, layer, hidden, rows * n_embd, at, hidden);
        if (st >= 0)
            st = realm_compute_logits(0, hidden + (size_t)(rows - 1) * n_embd, n_embd, logits);
    }
    return st < 0 ? realm_failed("layers", st) : realm_emit(logits, n_vocab * sizeof(float));
}
