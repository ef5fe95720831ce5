#include "token/pretok.h"

#include "base/utf8.h"
#include "token/unicode.h"

#include <string.h>

typedef struct chr {
    rl_char_class class;
    uint32_t cp; /* 0xffffffff for a byte that is not UTF-8 */
    size_t len;  /* 0 at the end of the text */
} chr;

/* The character at s[at]; past the end its length is 0 and its class OTHER. */
static chr peek(const char *s, size_t n, size_t at)
{
    chr c = { RL_CHAR_OTHER, UINT32_MAX, 1 };
    int len;

    if (at >= n)
        return (chr){ RL_CHAR_OTHER, UINT32_MAX, 0 };
    if ((uint8_t)s[at] < 0x80) {
        c.cp = (uint8_t)s[at];
        c.class = rl_char_class_of(c.cp);
        return c;
    }
    len = rl_utf8_next(s + at, n - at, &c.cp);
    if (len <= 0)
        return (chr){ RL_CHAR_OTHER, UINT32_MAX, 1 };
    c.len = (size_t)len;
    c.class = rl_char_class_of(c.cp);
    return c;
}

/* End of the run of `class` that begins at `at`, of at most `max` characters. */
static size_t run_of(const char *s, size_t n, size_t at, rl_char_class class, size_t max)
{
    chr c = peek(s, n, at);

    while (c.len && c.class == class && max--) {
        at += c.len;
        c = peek(s, n, at);
    }
    return at;
}

static bool is_newline(uint32_t cp)
{
    return cp == '\r' || cp == '\n';
}

/* 's 't 'm 'd 're 've 'll at the beginning. -> length, 0 when it is none of them. */
static size_t contraction(const char *s, size_t n, bool fold_case)
{
    unsigned char a, b;
    unsigned fold = fold_case ? 0x20 : 0; /* ASCII letters only are compared */

    if (n < 2 || s[0] != '\'')
        return 0;
    a = (unsigned char)((unsigned char)s[1] | fold);
    if (a == 's' || a == 't' || a == 'm' || a == 'd')
        return 2;
    if (n < 3)
        return 0;
    b = (unsigned char)((unsigned char)s[2] | fold);
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l'))
        return 3;
    return 0;
}

/* A run of white space at the beginning: all but its last character when more text follows
 * (`\s+(?!\S)`), else all of it (`\s+`). `newlines`: up to its last line end, if it has one
 * (`\s*[\r\n]+` comes first). */
static size_t white_space(const char *s, size_t n, bool newlines)
{
    size_t at = 0, last = 0, after_newline = 0;
    chr c;

    for (c = peek(s, n, 0); c.len && c.class == RL_CHAR_SPACE; c = peek(s, n, at)) {
        last = at;
        at += c.len;
        if (is_newline(c.cp))
            after_newline = at;
    }
    if (newlines && after_newline)
        return after_newline;
    return c.len && last ? last : at;
}

/* Qwen 2 and Llama 3 differ in how many digits stay together:
 * (?i:'s|'t|'re|'ve|'m|'ll|'d) | [^\r\n\p{L}\p{N}]?\p{L}+ | \p{N}{1,digits} |
 * ` ?[^\s\p{L}\p{N}]+[\r\n]*` | \s*[\r\n]+ | \s+(?!\S) | \s+ */
static size_t next_modern(const char *s, size_t n, size_t digits)
{
    chr c = peek(s, n, 0);
    chr d = peek(s, n, c.len);
    size_t at = contraction(s, n, true);

    if (at)
        return at;
    if (c.class == RL_CHAR_LETTER)
        return run_of(s, n, 0, RL_CHAR_LETTER, n);
    if (c.class == RL_CHAR_NUMBER)
        return run_of(s, n, 0, RL_CHAR_NUMBER, digits);
    if (!is_newline(c.cp) && d.class == RL_CHAR_LETTER)
        return run_of(s, n, c.len, RL_CHAR_LETTER, n);
    if (c.class == RL_CHAR_OTHER || (c.cp == ' ' && d.len && d.class == RL_CHAR_OTHER)) {
        at = run_of(s, n, c.len, RL_CHAR_OTHER, n);
        while (at < n && is_newline((uint8_t)s[at]))
            at++;
        return at;
    }
    return white_space(s, n, true);
}

static size_t next_qwen2(const char *s, size_t n)
{
    return next_modern(s, n, 1);
}

static size_t next_llama3(const char *s, size_t n)
{
    return next_modern(s, n, 3);
}

/* 's|'t|'re|'ve|'m|'ll|'d | ` ?\p{L}+` | ` ?\p{N}+` | ` ?[^\s\p{L}\p{N}]+` | \s+(?!\S) | \s+ */
static size_t next_gpt2(const char *s, size_t n)
{
    chr c = peek(s, n, 0);
    chr d = peek(s, n, c.len);
    size_t at = contraction(s, n, false);

    if (at)
        return at;
    if (c.cp == ' ' && d.len && d.class != RL_CHAR_SPACE)
        return run_of(s, n, 1, d.class, n);
    if (c.class != RL_CHAR_SPACE)
        return run_of(s, n, 0, c.class, n);
    return white_space(s, n, false);
}

/* Names that files give to one of the three patterns. */
static const rl_pretok table[] = {
    { "qwen2", next_qwen2, false, false },     { "deepseek-r1-qwen", next_qwen2, false, false },
    { "kormo", next_qwen2, false, false },     { "megrez", next_qwen2, false, false },
    { "stablelm2", next_qwen2, false, false }, { "hunyuan", next_qwen2, false, false },
    { "llama-bpe", next_llama3, true, true },  { "llama3", next_llama3, true, true },
    { "llama-v3", next_llama3, true, true },   { "falcon3", next_llama3, true, true },
    { "falcon-h1", next_llama3, true, true },  { "pixtral", next_llama3, true, true },
    { "dbrx", next_llama3, false, false },     { "smaug-bpe", next_llama3, false, false },
    { "gpt-2", next_gpt2, false, false },      { "phi-2", next_gpt2, false, false },
    { "gigachat", next_gpt2, false, false },   { "a.x-4.0", next_gpt2, false, false },
    { "mellum", next_gpt2, false, false },     { "olmo", next_gpt2, false, false },
    { "mpt", next_gpt2, false, false },        { "jais", next_gpt2, false, false },
    { "trillion", next_gpt2, false, false },
};

const rl_pretok *rl_pretok_find(rl_text name)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strlen(table[i].name) == name.n && memcmp(table[i].name, name.p, name.n) == 0)
            return &table[i];
    }
    return NULL;
}
