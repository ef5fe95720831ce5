#include "hostile_wat.h"

#include <string.h>

#define PAGES  4u
#define M      (PAGES * 65536ull) /* the guest's memory */
#define FLAGS  2048u
#define TEXT   4096u
#define IDS    5120u
#define FLOATS 8192u
#define IOVS   16384u /* one good entry, then a bad one per pair */
#define SUBS   17408u /* one clock subscription that is over at once */
#define OUT    20480u
#define OUT2   65536u

static const char text[] = "{\\22prompt\\22:\\22hi\\22,\\22max_tokens\\22:1}";
#define TEXT_LEN 30u

const hostile_row hostile_rows[] = {
#define ABI(module, name, variant, args, result, cap, mode, limit, sentence)                       \
    { #module, #name, args, #result[0], false },
#define WASI(name, args, shape, result, mode, sentence)                                            \
    { "wasi_snapshot_preview1", #name, shape, #result[0], true },
#include "guest/abi.def"
#include "guest/abi_wasi.def"
#undef ABI
};
const size_t hostile_n_rows = sizeof hostile_rows / sizeof hostile_rows[0];

/* ---- the values ------------------------------------------------------------------------------ */

typedef struct pair {
    uint64_t ptr, len;
    uint32_t count; /* instead of len where elements are counted, in wide guests */
} pair;

static const pair narrow_pairs[24] = {
    { M, 1, 0 },
    { M - 1, 2, 0 },
    { M - 4, 5, 0 },
    { 0, M + 1, 0 },
    { 1, M, 0 },
    { M + 1, 1, 0 },
    { M / 2, M, 0 },
    { 0, 0x7fffffff, 0 },
    { 0, 0x80000000, 0 },
    { 0, 0xffffffff, 0 },
    { 1, 0xffffffff, 0 },
    { 4, 0xfffffffc, 0 },
    { 8, 0xfffffff8, 0 },
    { 0x7fffffff, 1, 0 },
    { 0x80000000, 1, 0 },
    { 0x80000000, 0x80000000, 0 },
    { 0xffffffff, 1, 0 },
    { 0xffffffff, 2, 0 },
    { 0xffffffff, 0xffffffff, 0 },
    { 0xfffffffc, 4, 0 },
    { 0xfffffffc, 8, 0 },
    { 0x10000000, 0xf0000001, 0 },
    { 0, 0x40000000, 0 }, /* times 4 is 0 in 32 bits */
    { 0, 0x40000001, 0 },
};

static const pair wide_pairs[24] = {
    { M, 1, 1 },
    { M - 1, 2, 2 },
    { M - 4, 5, 5 },
    { 0, M + 1, M / 4 + 1 },
    { 1, M, M / 4 },
    { M + 1, 1, 1 },
    { 0, 0x7fffffff, 0x7fffffff },
    { 0, 0xffffffff, 0xffffffff },
    { 4, 0xfffffffffffffffc, 0x40000000 },
    { 8, 0xfffffffffffffff8, 0x3fffffff },
    { 1, 0xffffffffffffffff, 0xffffffff },
    { 0, 0x8000000000000000, 0x80000000 },
    { 0, 0x7fffffffffffffff, 0x7fffffff },
    { 0x100000000, 1, 1 },             /* 0 in 32 bits */
    { 0x100000000 + TEXT, 16, 4 },     /* a good one in 32 bits */
    { TEXT, 0x100000010, 0xfffffff0 }, /* 16 in 32 bits */
    { 0x8000000000000000, 1, 1 },
    { 0x8000000000000000, 0x8000000000000000, 0x80000000 },
    { 0xffffffffffffffff, 1, 1 },
    { 0xffffffffffffffff, 0xffffffffffffffff, 0xffffffff },
    { 0xfffffffffffffffc, 4, 1 },
    { 0xfffffffffffffffc, 8, 2 },
    { 0x1000000000000000, 0xf000000000000001, 0x40000001 },
    { 0x4000000000000000, 0x4000000000000000, 0x40000000 },
};

static bool counts_elements(char letter)
{
    return strchr("IFvg", letter) != NULL;
}

static bool is_pair(char letter)
{
    return strchr("BTIFbvgrR", letter) != NULL;
}

/* Bytes that a pointer of this letter must have behind it at least; 0: not a pointer alone. */
static uint64_t least_bytes(const hostile_row *row, char letter)
{
    static const char digits[] = "248sS";
    static const uint64_t bytes[] = { 2, 4, 8, 24, 64 };
    const char *at;

    if (letter == 'o')
        return 4;
    if (letter == 'p') /* preview 1: it may need no byte at all (environ_get) */
        return row->wasi ? 1 : 32;
    at = row->wasi ? strchr(digits, letter) : NULL;
    return at && letter ? bytes[at - digits] : 0;
}

static void add(hostile_case *cases, size_t *n, hostile_case c)
{
    if (*n < HOSTILE_MAX_CASES)
        cases[(*n)++] = c;
}

static void add_pairs(const hostile_row *row, bool wide, uint32_t arg, hostile_case *cases,
                      size_t *n)
{
    const pair *pairs = wide ? wide_pairs : narrow_pairs;
    char letter = row->args[arg];
    uint64_t least = least_bytes(row, letter);

    for (uint32_t i = 0; i < 24; i++) {
        hostile_case c = { HOSTILE_POINTER, arg, pairs[i].ptr, pairs[i].len };
        bool outside = letter == 'p' && row->wasi ? c.ptr > M : c.ptr > M - least;

        if (wide && counts_elements(letter))
            c.len = pairs[i].count;
        if (is_pair(letter) || (least > 0 && outside))
            add(cases, n, c);
        if (letter == 'r' || letter == 'R') /* a good array with a bad part */
            add(cases, n, (hostile_case){ HOSTILE_POINTER, arg, IOVS + 8 + 8 * i, 1 });
    }
}

static void add_numbers(const hostile_row *row, uint32_t arg, hostile_case *cases, size_t *n)
{
    static const uint64_t handles[] = { 0, 12345, 0x7fffffff, 0xffffffff };
    static const uint64_t models[] = { 77, 0xffffffff };
    static const uint64_t fds[] = { 3, 77, 0x7fffffff, 0xffffffff };
    /* times 48 and times 32 these are small in 32 bits */
    static const uint64_t counts[] = { 0x05555556, 0x08000000, 0xffffffff };
    bool has_fd = strncmp(row->name, "fd_", 3) == 0 || strncmp(row->name, "path_", 5) == 0 ||
                  strncmp(row->name, "sock_", 5) == 0;
    bool has_model = strcmp(row->module, "env") == 0 && strcmp(row->name, "abort") != 0;

    for (size_t i = 0; row->args[arg] == 'h' && i < 4; i++)
        add(cases, n, (hostile_case){ HOSTILE_HANDLE, arg, handles[i], 0 });
    for (size_t i = 0; row->args[arg] == 'u' && arg == 0 && !row->wasi && has_model && i < 2; i++)
        add(cases, n, (hostile_case){ HOSTILE_MODEL, arg, models[i], 0 });
    for (size_t i = 0; row->args[arg] == 'u' && arg == 0 && row->wasi && has_fd && i < 4; i++)
        add(cases, n, (hostile_case){ HOSTILE_FD, arg, fds[i], 0 });
    for (size_t i = 0; arg == 2 && strcmp(row->name, "poll_oneoff") == 0 && i < 3; i++)
        add(cases, n, (hostile_case){ HOSTILE_POINTER, arg, counts[i], 0 });
}

size_t hostile_cases(const hostile_row *row, bool wide, hostile_case cases[HOSTILE_MAX_CASES])
{
    size_t n = 0;

    for (uint32_t arg = 0; row->args[arg] != 0; arg++) {
        add_pairs(row, wide, arg, cases, &n);
        add_numbers(row, arg, cases, &n);
    }
    return n;
}

/* ---- the module ------------------------------------------------------------------------------ */

typedef struct writer {
    rl_buf *out;
    const hostile_row *row;
    const char *word; /* type of a pointer */
    bool wide;
    uint32_t n_embd;
} writer;

static const char *second_type(const writer *w, char letter)
{
    return counts_elements(letter) ? "i32" : w->word;
}

static void write_params(const writer *w)
{
    for (const char *a = w->row->args; *a != 0; a++) {
        if (is_pair(*a))
            (void)rl_buf_addf(w->out, " %s %s", w->word, second_type(w, *a));
        else if (least_bytes(w->row, *a) > 0)
            (void)rl_buf_addf(w->out, " %s", w->word);
        else
            (void)rl_buf_addf(w->out, " %s", *a == 'l' ? "i64" : *a == 'f' ? "f32" : "i32");
    }
}

static void write_pair(const writer *w, char letter, uint64_t ptr, uint64_t len)
{
    (void)rl_buf_addf(w->out, " (%s.const 0x%llx) (%s.const 0x%llx)", w->word,
                      (unsigned long long)ptr, second_type(w, letter), (unsigned long long)len);
}

static void write_number(const writer *w, const char *type, uint64_t v)
{
    (void)rl_buf_addf(w->out, " (%s.const 0x%llx)", type, (unsigned long long)v);
}

/* The global that holds a good handle for argument `arg`. */
static const char *good_handle(const hostile_row *row, uint32_t arg)
{
    const char *name = row->name;

    if (strstr(name, "stream_") != NULL || strcmp(name, "emit_stream") == 0)
        return "stream";
    if (arg == 1 || (strncmp(name, "sampler_", 8) == 0 && strcmp(name, "sampler_new") != 0))
        return "sampler";
    if (strcmp(name, "generate_seq") == 0 ||
        (strncmp(name, "seq_", 4) == 0 && strcmp(name, "seq_new") != 0))
        return "seq";
    return "model";
}

/* A good value for argument `arg`. */
static void write_good(const writer *w, uint32_t arg)
{
    const hostile_row *row = w->row;
    char letter = row->args[arg];

    if (letter == 'h')
        (void)rl_buf_addf(w->out, " (global.get $%s)", good_handle(row, arg));
    else if (strchr("BT", letter))
        write_pair(w, letter, TEXT, TEXT_LEN);
    else if (letter == 'I')
        write_pair(w, letter, IDS, 3);
    else if (letter == 'F')
        write_pair(w, letter, FLOATS, w->n_embd);
    else if (strchr("rR", letter))
        write_pair(w, letter, IOVS, 1);
    else if (strchr("bvg", letter))
        write_pair(w, letter, OUT, 1024);
    else if (letter == 'p' && !row->wasi)
        write_number(w, w->word, 0);
    else if (letter == 'p' && arg == 0 && strcmp(row->name, "poll_oneoff") == 0)
        write_number(w, w->word, SUBS);
    else if (least_bytes(row, letter) > 0)
        write_number(w, w->word, arg % 2 ? OUT : OUT2);
    else if (letter == 'f')
        write_number(w, "f32", 0);
    else
        write_number(w, letter == 'l' ? "i64" : "i32",
                     strcmp(row->name, "fd_write") == 0 || strcmp(row->name, "poll_oneoff") == 0);
}

static void write_bad(const writer *w, const hostile_case *c)
{
    char letter = w->row->args[c->arg];

    if (is_pair(letter))
        write_pair(w, letter, c->ptr, c->len);
    else
        write_number(w, c->kind == HOSTILE_POINTER ? w->word : "i32", c->ptr);
}

static void write_case(const writer *w, const hostile_case *c, size_t index)
{
    (void)rl_buf_addf(w->out, "  (i32.store (%s.const %zu) (call $row", w->word, index * 4);
    for (uint32_t arg = 0; w->row->args[arg] != 0; arg++) {
        if (arg == c->arg)
            write_bad(w, c);
        else
            write_good(w, arg);
    }
    (void)rl_buf_addf(w->out, "))\n  (call $look (%s.const %zu))\n", w->word, FLAGS + index * 4);
}

/* The good data: text, ids, an iovec and the bad ones, a clock subscription. */
static void write_data(const writer *w)
{
    (void)rl_buf_addf(w->out, " (data (%s.const %u) \"%s\")\n", w->word, TEXT, text);
    (void)rl_buf_addf(w->out, " (data (%s.const %u) \"\\01\\00\\00\\00\\02\\00\\00\\00\\03\")\n",
                      w->word, IDS);
    (void)rl_buf_addf(w->out, " (data (%s.const %u) \"", w->word, IOVS);
    for (uint32_t i = 0; i <= 24; i++) {
        uint64_t both = i == 0 ? OUT | (uint64_t)64 << 32
                               : narrow_pairs[i - 1].ptr | narrow_pairs[i - 1].len << 32;

        for (uint32_t k = 0; k < 8; k++)
            (void)rl_buf_addf(w->out, "\\%02x", (unsigned)(both >> 8 * k & 255));
    }
    (void)rl_buf_adds(w->out, "\")\n");
}

static void write_helpers(const writer *w)
{
    const char *t = w->word;

    (void)rl_buf_addf(w->out,
                      " (func $sum (result i64) (local $at %s) (local $sum i64)\n"
                      "  (local.set $at (%s.const %u))\n"
                      "  (loop $next\n"
                      "   (local.set $sum (i64.add (i64.rotl (local.get $sum) (i64.const 7))"
                      " (i64.load (local.get $at))))\n"
                      "   (local.set $at (%s.add (local.get $at) (%s.const 8)))\n"
                      "   (br_if $next (%s.lt_u (local.get $at) (%s.const %llu))))\n"
                      "  (local.get $sum))\n",
                      t, t, HOSTILE_NOTES, t, t, t, t, M);
    (void)rl_buf_addf(w->out,
                      " (func $look (param $flag %s)\n"
                      "  (if (i64.ne (call $sum) (global.get $want)) (then\n"
                      "   (i32.store (local.get $flag) (i32.const 1))\n"
                      "   (global.set $want (call $sum)))))\n",
                      t);
}

static void write_run(const writer *w, const hostile_case *cases, size_t n_cases)
{
    const char *t = w->word;

    (void)rl_buf_addf(w->out,
                      " (func (export \"run\") (result i32)\n"
                      "  (memory.fill (%s.const %u) (i32.const 0xa5) (%s.const %llu))\n",
                      t, OUT, t, M - OUT);
    if (strchr(w->row->args, 'h'))
        (void)rl_buf_addf(w->out,
                          "  (global.set $model (call $open (%s.const 0) (%s.const 0)))\n"
                          "  (global.set $stream (call $chat (global.get $model)"
                          " (%s.const %u) (%s.const %u)))\n"
                          "  (global.set $seq (call $new_seq (global.get $model)))\n"
                          "  (global.set $sampler (call $new_sampler (global.get $model)"
                          " (%s.const 0) (%s.const 0)))\n"
                          "  (if (i32.lt_s (i32.or (i32.or (global.get $model) (global.get $seq))"
                          " (i32.or (global.get $sampler) (global.get $stream)))"
                          " (i32.const 1)) (then (return (i32.const 9))))\n",
                          t, t, t, TEXT, t, TEXT_LEN, t, t);
    (void)rl_buf_adds(w->out, "  (global.set $want (call $sum))\n");
    for (size_t i = 0; i < n_cases; i++)
        write_case(w, &cases[i], i);
    (void)rl_buf_addf(w->out, "  (call $emit (%s.const 0) (%s.const %u)))\n", t, t, HOSTILE_NOTES);
}

void hostile_wat(rl_buf *out, const hostile_row *row, bool wide, const hostile_case *cases,
                 size_t n_cases, uint32_t n_embd)
{
    writer w = { out, row, wide ? "i64" : "i32", wide, n_embd };

    (void)rl_buf_addf(out, "(module\n (import \"%s\" \"%s\" (func $row (param", row->module,
                      row->name);
    write_params(&w);
    (void)rl_buf_addf(out, ")%s))\n",
                      row->result == '-'   ? ""
                      : row->result == 'l' ? " (result i64)"
                                           : " (result i32)");
    (void)rl_buf_addf(out,
                      " (import \"realm\" \"emit\" (func $emit (param %s %s) (result i32)))\n"
                      " (import \"realm\" \"model_open\" (func $open (param %s %s) (result i32)))\n"
                      " (import \"realm\" \"generate_chat\""
                      " (func $chat (param i32 %s %s) (result i32)))\n"
                      " (import \"realm\" \"seq_new\""
                      " (func $new_seq (param i32) (result i32)))\n"
                      " (import \"realm\" \"sampler_new\""
                      " (func $new_sampler (param i32 %s %s) (result i32)))\n",
                      w.word, w.word, w.word, w.word, w.word, w.word, w.word, w.word);
    (void)rl_buf_addf(out, " (memory (export \"memory\") %s %u %u)\n", wide ? "i64" : "", PAGES,
                      PAGES);
    (void)rl_buf_adds(out, " (global $want (mut i64) (i64.const 0))\n"
                           " (global $model (mut i32) (i32.const 0))\n"
                           " (global $stream (mut i32) (i32.const 0))\n"
                           " (global $seq (mut i32) (i32.const 0))\n"
                           " (global $sampler (mut i32) (i32.const 0))\n");
    write_data(&w);
    write_helpers(&w);
    write_run(&w, cases, n_cases);
    (void)rl_buf_adds(out, ")\n");
}
