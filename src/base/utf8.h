/* UTF-8 by its definition (RFC 3629): no surrogates, nothing over U+10FFFF, no overlong forms. */
#ifndef RL_BASE_UTF8_H
#define RL_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads one code point of s[0..n), n > 0. -> its length 1..4 and *cp, or 0 when the bytes are not
 * UTF-8, or -1 when they are a proper beginning of a character that needs more bytes than n. */
int rl_utf8_next(const char *s, size_t n, uint32_t *cp);

/* Writes cp (a valid code point) to out[0..4). -> bytes written, 1..4. */
int rl_utf8_put(uint32_t cp, char *out);

bool rl_utf8_valid(const char *s, size_t n);

/* Length of the longest prefix of s[0..n) that does not end inside a character. Invalid bytes count
 * as whole characters. So n minus the result is 0..3. */
size_t rl_utf8_whole(const char *s, size_t n);

#endif
