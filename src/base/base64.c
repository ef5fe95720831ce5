#include "base/base64.h"

#include <openssl/evp.h>

#define GROUP 3072u /* bytes at a time; a multiple of 3, so that only the end is padded */

void rl_base64(rl_buf *out, const void *p, size_t n)
{
    unsigned char text[GROUP / 3 * 4 + 1];
    const unsigned char *from = p;

    for (size_t at = 0; at < n; at += GROUP) {
        size_t some = n - at < GROUP ? n - at : GROUP;
        int len = EVP_EncodeBlock(text, from + at, (int)some);

        (void)rl_buf_add(out, text, (size_t)len);
    }
}
