#include "model/digest.h"

#include <openssl/evp.h>

void rl_digest_begin(rl_digest *d)
{
    d->md = EVP_MD_CTX_new();
    d->failed = !d->md || EVP_DigestInit_ex(d->md, EVP_sha256(), NULL) != 1;
}

void rl_digest_add(rl_digest *d, const void *p, size_t n)
{
    if (!d->failed && EVP_DigestUpdate(d->md, p, n) != 1)
        d->failed = true;
}

bool rl_digest_end(rl_digest *d, uint8_t out[RL_DIGEST_BYTES])
{
    unsigned char all[EVP_MAX_MD_SIZE];

    if (!d->failed && EVP_DigestFinal_ex(d->md, all, NULL) != 1)
        d->failed = true;
    for (unsigned i = 0; i < RL_DIGEST_BYTES && !d->failed; i++)
        out[i] = all[i];
    EVP_MD_CTX_free(d->md);
    d->md = NULL;
    return !d->failed;
}
