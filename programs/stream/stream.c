/* stream: reads a model's answer piece by piece and passes each piece on.
 *
 * This is what chat leaves to the host, done by hand: between reading and sending, a program can
 * look at the text, change it, or stop early. The input is the prompt as plain text. */
#include "realm.h"

/* Writes the request {"prompt": "..."}: quotes, backslashes and control characters are escaped.
 * out has room for 6 * n + 64 bytes. */
static size_t write_request(char *out, const char *prompt, size_t n)
{
    static const char head[] = "{\"max_tokens\": 256, \"prompt\": \"";
    static const char hex[] = "0123456789abcdef";
    size_t at = 0;

    while (head[at] != 0) {
        out[at] = head[at];
        at++;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)prompt[i];

        if (c >= 0x20 && c != '"' && c != '\\') {
            out[at++] = (char)c;
            continue;
        }
        out[at++] = '\\';
        out[at++] = 'u';
        out[at++] = '0';
        out[at++] = '0';
        out[at++] = hex[c >> 4];
        out[at++] = hex[c & 15];
    }
    out[at++] = '"';
    out[at++] = '}';
    return at;
}

static int32_t pass_on(uint32_t stream)
{
    char piece[256];
    int32_t n;

    /* Each read waits for the next whole characters; 0 is the end. */
    while ((n = realm_stream_read(stream, piece, sizeof piece)) > 0) {
        int32_t st = realm_emit(piece, (size_t)n);

        if (st < 0)
            return st;
    }
    return n;
}

REALM_EXPORT(run) int32_t run(void)
{
    size_t len = (size_t)realm_input_len();
    char *prompt = realm_pages(len + 1);
    char *request = realm_pages(6 * len + 64);
    int32_t n = prompt && request ? realm_read_input(prompt, len + 1) : REALM_ENOMEM;
    int32_t model, stream;

    if (n < 0)
        return realm_failed("prompt", n);
    model = realm_model_open(NULL, 0);
    if (model < 0)
        return realm_failed("model", model);
    stream = realm_generate_chat((uint32_t)model, request, write_request(request, prompt, len));
    if (stream < 0)
        return realm_failed("generate", stream);
    n = pass_on((uint32_t)stream);
    realm_stream_close((uint32_t)stream);
    return n < 0 ? realm_failed("stream", n) : 0;
}
