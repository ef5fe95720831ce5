/* layers: a program that drives the model layer by layer.
 *
 * Text -> ids -> embeddings -> every layer in turn -> logits -> the most likely id, and again until
 * the model ends or enough is said. Each call computes on the host; the numbers between the layers
 * are ours to look at. Then it asks for the same completion in one call and compares: the texts
 * must be equal, because both ways give the same numbers bit for bit. Needs the capability
 * `layers`.
 *
 *     layers [TOKENS]       the input is the prompt; 16 tokens unless told */
#include "realm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PROMPT_CAP 16384
#define MAX_IDS    4096

static char prompt[PROMPT_CAP], text[PROMPT_CAP * 4], wanted[PROMPT_CAP];
static char info[65536];
static uint32_t ids[MAX_IDS]; /* the prompt, then what was drawn */
static float *hidden;         /* [positions][n_embd] */
static float *logits;         /* [n_vocab] */
static uint32_t n_embd, n_layers, n_vocab;
static uint32_t n_ends, ends[64]; /* ids that end a text */
static int32_t model;             /* handle of the run's model, for module realm's calls */

/* The number behind "key": in the model's JSON, 0 when there is none. */
static uint32_t number_of(const char *json, const char *key)
{
    char quoted[64];
    const char *at;

    snprintf(quoted, sizeof quoted, "\"%s\":", key);
    at = strstr(json, quoted);
    return at ? (uint32_t)strtoul(at + strlen(quoted), NULL, 10) : 0;
}

static void read_ends(const char *json)
{
    const char *at = strstr(json, "\"eog_ids\":");
    char *next;

    at = at ? strchr(at, '[') : NULL;
    while (at && *at != ']' && n_ends < 64) {
        ends[n_ends] = (uint32_t)strtoul(at + 1, &next, 10);
        if (next == at + 1)
            return;
        n_ends++;
        at = next;
    }
}

/* The sizes come from the classic metadata, the end ids from the model's description. */
static int32_t read_model(void)
{
    int32_t n = realm_get_model_metadata(0, info, sizeof info - 1);

    if (n < 0)
        return n;
    info[n] = 0;
    n_embd = number_of(info, "hidden_size");
    n_layers = number_of(info, "num_layers");
    n_vocab = number_of(info, "vocab_size");
    model = realm_model_open(NULL, 0);
    n = model < 0 ? model : realm_model_info((uint32_t)model, info, sizeof info - 1);
    if (n < 0)
        return n;
    info[n] = 0;
    read_ends(info);
    return n_embd && n_layers && n_vocab ? 0 : REALM_EMODEL;
}

static int is_end(uint32_t id)
{
    for (uint32_t i = 0; i < n_ends; i++)
        if (ends[i] == id)
            return 1;
    return 0;
}

/* Runs ids [from, from + n) through all layers. -> the most likely next id, or a negative status */
static int32_t next_id(uint32_t from, uint32_t n)
{
    int32_t st = realm_embed_tokens(0, ids + from, n, hidden);
    uint32_t best = 0;

    for (uint32_t layer = 0; st >= 0 && layer < n_layers; layer++)
        st = realm_forward_layer(0, layer, hidden, n * n_embd, from, hidden);
    if (st >= 0)
        st = realm_compute_logits(0, hidden + (size_t)(n - 1) * n_embd, n_embd, logits);
    for (uint32_t id = 1; st >= 0 && id < n_vocab; id++)
        if (logits[id] > logits[best])
            best = id;
    return st < 0 ? st : (int32_t)best;
}

/* -> number of ids drawn, or a negative status */
static int32_t draw(uint32_t n_prompt, uint32_t max_tokens)
{
    uint32_t from = 0, n = n_prompt, drawn = 0;

    while (drawn < max_tokens) {
        int32_t id = next_id(from, n);

        if (id < 0)
            return id;
        if (is_end((uint32_t)id))
            break;
        from += n;
        n = 1; /* from now on only the new id: the host keeps what came before */
        ids[n_prompt + drawn++] = (uint32_t)id;
    }
    return (int32_t)drawn;
}

/* The text of the drawn ids: of all ids, less the prompt's part, so that it joins as the model
 * meant.
 * -> its beginning in `text`, or NULL */
static const char *text_of(uint32_t n_prompt, uint32_t drawn)
{
    uint32_t m = (uint32_t)model;
    int32_t skip = realm_decode(m, ids, n_prompt, text, sizeof text - 1, REALM_SKIP_SPECIAL);
    int32_t all = realm_decode(m, ids, n_prompt + drawn, text, sizeof text - 1, REALM_SKIP_SPECIAL);

    if (skip < 0 || all < skip)
        return NULL;
    text[all] = 0;
    return text + skip;
}

/* The same completion in one call. -> 0 when it says the same */
static int compare(size_t len, uint32_t max_tokens, const char *ours)
{
    const realm_generate_options greedy = { .max_tokens = max_tokens, .repetition_penalty = 1.0f };
    int32_t n = realm_host_generate_opts(0, prompt, len, &greedy, wanted, sizeof wanted - 1);

    if (n < 0)
        return realm_failed("generate", n);
    wanted[n] = 0;
    if (strcmp(ours, wanted) == 0)
        return 0;
    fprintf(stderr, "layer by layer: \"%s\"\nin one call:    \"%s\"\n", ours, wanted);
    return 1;
}

int main(int argc, char **argv)
{
    uint32_t max_tokens = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 16;
    int32_t len = realm_read_input(prompt, sizeof prompt);
    int32_t st = len < 0 ? len : read_model();
    int32_t n_prompt, drawn;
    const char *ours;

    if (st < 0)
        return realm_failed("start", st);
    n_prompt = realm_encode_tokens(0, prompt, (size_t)len, ids, sizeof ids);
    if (n_prompt <= 0 || (uint32_t)n_prompt + max_tokens > MAX_IDS)
        return realm_failed("prompt", n_prompt < 0 ? n_prompt : REALM_ETOOBIG);
    hidden = malloc((size_t)n_prompt * n_embd * sizeof *hidden);
    logits = malloc((size_t)n_vocab * sizeof *logits);
    if (hidden == NULL || logits == NULL)
        return realm_failed("memory", REALM_ENOMEM);
    drawn = draw((uint32_t)n_prompt, max_tokens);
    if (drawn < 0)
        return realm_failed("layers", drawn);
    ours = text_of((uint32_t)n_prompt, (uint32_t)drawn);
    if (ours == NULL)
        return realm_failed("decode", REALM_EBUG);
    fputs(ours, stdout);
    return compare((size_t)len, max_tokens, ours);
}
