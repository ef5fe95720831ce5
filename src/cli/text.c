#include "cli/text.h"

#include "base/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

size_t rl_text_columns(int fd)
{
    struct winsize w;

    memset(&w, 0, sizeof w);
    return isatty(fd) && ioctl(fd, TIOCGWINSZ, &w) == 0 ? w.ws_col : 0;
}

bool rl_text_steers(void)
{
    const char *term = getenv("TERM");

    return isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
}

const char *rl_text_dim(bool on)
{
    const char *none = getenv("NO_COLOR");

    if (!rl_text_steers() || (none && *none))
        return "";
    return on ? "\033[2m" : "\033[0m";
}

/* A byte that may not reach a terminal as it is. */
static void escape_byte(rl_buf *out, char byte)
{
    if (byte == '\n')
        (void)rl_buf_adds(out, "\\n");
    else if (byte == '\t')
        (void)rl_buf_adds(out, "\\t");
    else
        (void)rl_buf_addf(out, "\\x%02x", (unsigned char)byte);
}

void rl_text_escape(rl_buf *out, const char *s, size_t n)
{
    uint32_t cp;

    for (size_t i = 0; i < n;) {
        int len = rl_utf8_next(s + i, n - i, &cp);
        bool control = len > 0 && (cp < 0x20 || (cp >= 0x7f && cp < 0xa0));
        size_t step = len > 0 ? (size_t)len : 1;

        for (size_t k = i; k < i + step && (control || len <= 0); k++)
            escape_byte(out, s[k]);
        if (!control && len > 0)
            (void)rl_buf_add(out, s + i, step);
        i += step;
    }
}

size_t rl_text_width(const char *s)
{
    size_t n = strlen(s), w = 0;
    uint32_t cp;

    for (size_t i = 0; i < n; w++) {
        int len = rl_utf8_next(s + i, n - i, &cp);

        i += len > 0 ? (size_t)len : 1;
    }
    return w;
}

void rl_text_wrap(rl_buf *out, const char *text, size_t at, size_t indent, size_t columns)
{
    bool first = true; /* word of its line */

    while (*text) {
        size_t n = strcspn(text, " ");

        if (!first && at + 1 + n > columns) {
            (void)rl_buf_addf(out, "\n%*s", (int)indent, "");
            at = indent;
            first = true;
        }
        (void)rl_buf_addf(out, "%s%.*s", first ? "" : " ", (int)n, text);
        at += n + !first;
        first = false;
        text += n + (text[n] == ' ');
    }
    (void)rl_buf_adds(out, "\n");
}
