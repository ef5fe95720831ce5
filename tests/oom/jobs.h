/* The jobs whose allocations fail in turn. */
#ifndef TEST_OOM_JOBS_H
#define TEST_OOM_JOBS_H

#include "realm/realm.h"

typedef struct job {
    const char *name;
    bool prepared; /* the model "tiny" is imported once, before */
    /* Does the job from nothing to nothing in `home`. A job that says OK has checked its result. */
    realm_status (*run)(const char *home, const char *tiny, realm_error *err);
} job;

extern const job jobs[];
extern const size_t n_jobs;

#endif
