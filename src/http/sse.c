#include "http/http.h"

#include <string.h>

/* A line ends with LF, CR LF or CR, as a reader of events sees it. */
static size_t line_length(const char *data, size_t n)
{
    size_t i = 0;

    while (i < n && data[i] != '\n' && data[i] != '\r')
        i++;
    return i;
}

void rl_http_sse(rl_buf *buf, const char *event, const char *data, size_t n)
{
    size_t at = 0;

    if (event) {
        (void)rl_buf_adds(buf, "event: ");
        (void)rl_buf_add(buf, event, line_length(event, strlen(event)));
        (void)rl_buf_adds(buf, "\n");
    }
    for (;;) {
        size_t len = line_length(data + at, n - at);

        (void)rl_buf_adds(buf, "data: ");
        (void)rl_buf_add(buf, data + at, len);
        (void)rl_buf_adds(buf, "\n");
        at += len;
        if (at == n)
            break;
        at += data[at] == '\r' && at + 1 < n && data[at + 1] == '\n' ? 2 : 1;
    }
    (void)rl_buf_adds(buf, "\n");
}
