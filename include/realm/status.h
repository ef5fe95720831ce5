/* The one table of failures: C enum, a guest's negative return value, HTTP status and text.
 *
 * Every room may include this header. A number is never reused and never changes its meaning; the
 * rows are those of the guest ABI (docs/abi.md). REALM_ECANCELLED's HTTP status is the one web
 * servers log for a client that went away. */
#ifndef REALM_STATUS_H
#define REALM_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define REALM_API            __attribute__((visibility("default")))
#define REALM_PRINTF(fmt, a) __attribute__((format(printf, fmt, a)))
#define REALM_MUST_USE       __attribute__((warn_unused_result))
#else
#define REALM_API
#define REALM_PRINTF(fmt, a)
#define REALM_MUST_USE
#endif

/* X(name, number, HTTP status, text) */
#define REALM_STATUS_MAP(X)                                                                        \
    X(OK, 0, 200, "ok")                                                                            \
    X(EINVAL, -1, 400, "bad argument")                                                             \
    X(ENOTFOUND, -2, 404, "no such name or handle")                                                \
    X(EDENIED, -3, 403, "capability not granted")                                                  \
    X(EQUOTA, -4, 429, "own limit reached")                                                        \
    X(ENOMEM, -5, 503, "no memory or KV room")                                                     \
    X(ETOOBIG, -6, 413, "input over its limit")                                                    \
    X(ECONTEXT, -7, 400, "context window full")                                                    \
    X(ETIMEOUT, -8, 504, "deadline passed")                                                        \
    X(ECANCELLED, -9, 499, "cancelled")                                                            \
    X(EMODEL, -10, 503, "model cannot serve")                                                      \
    X(EIO, -11, 502, "file or network failed")                                                     \
    X(EUNSUPPORTED, -12, 400, "not offered")                                                       \
    X(EBUG, -13, 500, "our fault")                                                                 \
    X(ESPACE, -14, 500, "output buffer too small")                                                 \
    X(EBUSY, -15, 503, "one job per handle; try again")                                            \
    X(ECONFLICT, -16, 409, "exists or changed meanwhile")                                          \
    X(EAUTH, -17, 401, "not authenticated")                                                        \
    X(EDISK, -18, 507, "no room on disk")

typedef enum realm_status {
#define REALM_STATUS_ENUM(name, number, http, text) REALM_##name = (number),
    REALM_STATUS_MAP(REALM_STATUS_ENUM)
#undef REALM_STATUS_ENUM
} realm_status;

/* A code to act on and a sentence to read. Lives on the caller's stack; valid only after a call
 * that took it answered something other than REALM_OK. */
typedef struct realm_error {
    realm_status status;
    char text[240];
} realm_error;

/* Writes `st` and the formatted sentence into `err` (NULL is fine) and returns `st`, so that a
 * failing path is one line: `return realm_fail(err, REALM_EIO, "%s: %s", path, why);` */
REALM_API realm_status realm_fail(realm_error *err, realm_status st, const char *fmt, ...)
    REALM_PRINTF(3, 4);

/* "EINVAL", "bad argument" and 400 for REALM_EINVAL; "?", "unknown status" and 500 for a number
 * that is no row. */
REALM_API const char *realm_status_name(realm_status st);
REALM_API const char *realm_status_text(realm_status st);
REALM_API int realm_status_http(realm_status st);

#ifdef __cplusplus
}
#endif
#endif
