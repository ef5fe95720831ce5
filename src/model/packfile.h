/* Private to the room: the form of a packed file, and the checked mapping of one.
 *
 *   header | table | metadata | zeros to a page | body: source's metadata | tables | zeros to a
 * page | tensors, each at a multiple of 64 bytes
 *
 * The table has an entry per needed tensor, in the order of rl_slots; everything else is told by
 * the metadata, which is the source's own, less the tokenizer's long arrays when the file has
 * tables made of them (metadata.h): then the source's whole metadata is kept, too, for those who
 * ask. The tables are opaque here; who uses them checks them. head_digest covers header, table and
 * metadata and is checked at every opening; body_digest covers the rest, from the body to the end,
 * and is checked by rl_model_verify. Numbers are little endian, as everything Realm runs on. */
#ifndef RL_MODEL_PACKFILE_H
#define RL_MODEL_PACKFILE_H

#include "base/fs.h"
#include "model/digest.h"

#define RL_PACK_MAGIC "RLMPACK"
#define RL_PACK_PAGE  4096u

typedef struct rl_pack_header {
    char magic[8]; /* RL_PACK_MAGIC and a NUL */
    uint32_t layout, header_bytes;
    uint64_t n_tensors;
    uint64_t table_offset;
    uint64_t metadata_offset, metadata_bytes;
    uint64_t body_offset, whole_bytes;    /* the body begins with the source's whole metadata */
    uint64_t tables_offset, tables_bytes; /* both 0 bytes without tables */
    uint64_t data_offset, data_bytes;     /* the file ends with the data */
    char source[64];                      /* SHA-256 of the GGUF file, hex */
    uint8_t body_digest[RL_DIGEST_BYTES];
    uint8_t head_digest[RL_DIGEST_BYTES]; /* of the header up to here, table and metadata */
} rl_pack_header;

typedef struct rl_pack_entry {
    uint64_t offset; /* from the start of the data */
    uint64_t bytes;
} rl_pack_entry;

/* An open packed file whose head is proven. Read only, shared with other processes. */
typedef struct rl_packfile {
    uint8_t *map; /* owned mapping of the whole file */
    size_t bytes;
    const rl_pack_header *header; /* these point into it */
    const rl_pack_entry *table;   /* [header->n_tensors] */
    const uint8_t *metadata, *whole, *tables, *data;
} rl_packfile;

/* -> OK | ENOTFOUND | EINVAL (damaged, another layout) | EIO | ENOMEM */
realm_status rl_packfile_open(rl_packfile *f, const char *path, realm_error *err);
void rl_packfile_close(rl_packfile *f);

/* SHA-256 over the parts that head_digest covers. */
bool rl_packfile_head_digest(const rl_pack_header *h, const rl_pack_entry *table,
                             const uint8_t *metadata, uint8_t out[RL_DIGEST_BYTES]);

#endif
