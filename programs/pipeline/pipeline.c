/* pipeline: two models in one run; the answer of the first is part of the second's prompt.
 *
 *     pipeline FIRST SECOND      the names of two models; the input is the prompt
 *     pipeline                   the first two lines of the input are the names
 *
 * The text travels inside the host's process: nothing is sent anywhere in between. */
#include "realm.h"

#include <stdio.h>
#include <string.h>

#define PROMPT_CAP 65536
#define ANSWER_CAP 8192

static char prompt[PROMPT_CAP];
static char first_answer[ANSWER_CAP];
static char second_prompt[PROMPT_CAP + ANSWER_CAP + 64];
static char second_answer[ANSWER_CAP];

/* Cuts the first line off *text. */
static char *take_line(char **text)
{
    char *line = *text;
    char *end = strchr(line, '\n');

    if (end == NULL) {
        *text = line + strlen(line);
        return line;
    }
    *end = 0;
    *text = end + 1;
    return line;
}

/* Completes `text` with the model of that name. -> bytes of the answer, or a negative status */
static int32_t complete(const char *name, const char *text, char *answer)
{
    const realm_generate_options options = { .max_tokens = 48, .repetition_penalty = 1.1f };
    int32_t model = realm_host_load_model_by_name(name, strlen(name));
    int32_t n;

    if (model < 0)
        return model;
    n = realm_host_generate_opts((uint32_t)model, text, strlen(text), &options, answer,
                                 ANSWER_CAP - 1);
    answer[n < 0 ? 0 : n] = 0;
    realm_remove_model((uint32_t)model); /* only our handle: the model stays for others */
    return n;
}

int main(int argc, char **argv)
{
    char *text = prompt;
    int32_t n = realm_read_input(prompt, sizeof prompt);
    const char *first, *second;

    if (n < 0)
        return realm_failed("input", n);
    first = argc > 2 ? argv[1] : take_line(&text);
    second = argc > 2 ? argv[2] : take_line(&text);
    n = complete(first, text, first_answer);
    if (n < 0)
        return realm_failed(first, n);
    snprintf(second_prompt, sizeof second_prompt, "%s%s\n\nIn other words:", text, first_answer);
    n = complete(second, second_prompt, second_answer);
    if (n < 0)
        return realm_failed(second, n);
    printf("%s:%s\n%s:%s\n", first, first_answer, second, second_answer);
    return 0;
}
