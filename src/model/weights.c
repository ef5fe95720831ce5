/* Loading: a packed file becomes an rl_model. The file's own metadata is read again and every size
 * in its table compared with what the hyperparameters ask for, so that a file made by something
 * else is refused and never run. */
#include "model/weights.h"

#include "base/alloc.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static realm_status bind_tensors(rl_model *m, const rl_slots *slots, realm_error *err)
{
    const rl_packfile *f = &m->file;

    if (f->header->n_tensors != slots->n)
        return realm_fail(err, REALM_EINVAL,
                          "the packed file has %llu tensors, its metadata asks for %u; import the "
                          "model again",
                          (unsigned long long)f->header->n_tensors, slots->n);
    for (uint32_t i = 0; i < slots->n; i++) {
        const rl_slot *s = &slots->items[i];

        if (f->table[i].bytes != s->bytes)
            return realm_fail(err, REALM_EINVAL,
                              "packed tensor %u has %llu bytes instead of %llu; import the model "
                              "again",
                              i, (unsigned long long)f->table[i].bytes,
                              (unsigned long long)s->bytes);
        rl_slot_bind(s, f->data + f->table[i].offset, &m->globals, m->layers);
    }
    return REALM_OK;
}

static realm_status no_memory(realm_error *err)
{
    return realm_fail(err, REALM_ENOMEM, "no memory for the tables of a model");
}

/* Gives each layer its KV group. Only groups with layers exist, numbered in order of first use. */
static realm_status assign_groups(rl_model *m, realm_error *err)
{
    uint32_t of_kind[2] = { RL_KV_GROUPS, RL_KV_GROUPS };

    m->n_groups = 0;
    memset(m->group_layers, 0, sizeof m->group_layers);
    if (!m->kv_group) {
        m->kv_group = rl_arena_alloc_array(&m->arena, m->params.n_layers, sizeof *m->kv_group);
        m->kv_index = rl_arena_alloc_array(&m->arena, m->params.n_layers, sizeof *m->kv_index);
    }
    if (!m->kv_group || !m->kv_index)
        return no_memory(err);
    for (uint32_t il = 0; il < m->params.n_layers; il++) {
        uint32_t *group = &of_kind[rl_params_is_local(&m->params, il)];

        if (*group == RL_KV_GROUPS)
            *group = m->n_groups++;
        m->kv_group[il] = *group;
        m->kv_index[il] = m->group_layers[*group]++;
    }
    return REALM_OK;
}

/* Radians per position of every rotated pair: base^(-2i / n_rot) / factor_i / scaling. */
static realm_status derive_rope(rl_model *m, realm_error *err)
{
    const rl_params *p = &m->params;
    uint32_t n = p->n_rot / 2;

    for (int r = 0; r < RL_ROPES; r++) {
        if (!m->inv_freq[r])
            m->inv_freq[r] = rl_arena_alloc_array(&m->arena, n, sizeof *m->inv_freq[r]);
        if (!m->inv_freq[r])
            return no_memory(err);
        for (uint32_t i = 0; i < n; i++) {
            double factor = m->globals.rope_factors ? (double)m->globals.rope_factors[i] : 1;

            if (!(isfinite(factor) && factor > 0))
                return realm_fail(err, REALM_EINVAL,
                                  "rope_freqs.weight holds a number that is not positive");
            m->inv_freq[r][i] = pow((double)p->rope_base[r], -2.0 * i / p->n_rot) / factor /
                                (double)p->rope_factor[r];
        }
    }
    return REALM_OK;
}

uint32_t rl_model_forms(const rl_model *m, const rl_weight *w)
{
    /* every layer and the head have their matrices:
     * NOLINTNEXTLINE(clang-analyzer-core.NullDereference) */
    return 1u << (m->reference ? RL_ACT_F32 : rl_type_get(w->type)->act);
}

static void derive_forms(rl_model *m)
{
    m->forms_embd = rl_model_forms(m, rl_model_head(m));
    for (uint32_t il = 0; il < m->params.n_layers; il++) {
        const rl_layer *l = &m->layers[il];

        m->forms_embd |= rl_model_forms(m, &l->q) | rl_model_forms(m, &l->k) |
                         rl_model_forms(m, &l->v) | rl_model_forms(m, &l->gate) |
                         rl_model_forms(m, &l->up);
        m->forms_attn |= rl_model_forms(m, &l->o);
        m->forms_ff |= rl_model_forms(m, &l->down);
    }
}

realm_status rl_model_derive(rl_model *m, realm_error *err)
{
    realm_status st = assign_groups(m, err);

    derive_forms(m);
    return st == REALM_OK ? derive_rope(m, err) : st;
}

static void fill_info(rl_model *m, const rl_slots *slots)
{
    const rl_params *p = &m->params;
    rl_model_info *info = &m->info;

    *info = (rl_model_info){ .n_layers = p->n_layers,
                             .n_embd = p->n_embd,
                             .n_heads = p->n_heads,
                             .n_kv_heads = p->n_kv_heads,
                             .head_dim = p->head_dim,
                             .n_ff = p->n_ff,
                             .n_vocab = p->n_vocab,
                             .n_ctx = p->n_ctx,
                             .n_tensors = slots->n,
                             .window = p->window,
                             .rope_theta = p->rope_base[RL_ROPE_GLOBAL],
                             .rms_eps = p->eps };
    (void)snprintf(info->arch, sizeof info->arch, "%s", m->arch.name);
    memcpy(info->sha256, m->file.header->source, sizeof m->file.header->source);
    for (uint32_t i = 0; i < slots->n; i++) {
        const rl_slot *s = &slots->items[i];

        info->n_params += (uint64_t)s->k * (s->n ? s->n : 1);
        info->weight_bytes += s->bytes;
        if (s->n)
            info->weight_bytes_per_token += s->bytes;
    }
    if (m->globals.output.n)
        info->weight_bytes_per_token -=
            (uint64_t)rl_weight_panels(m->globals.embd.n) * m->globals.embd.panel_bytes;
}

/* The file's metadata as a view that carries its tables; a file without tables has it in one form.
 */
static realm_status open_metadata(rl_model *m, bool whole, realm_error *err)
{
    const rl_packfile *f = &m->file;
    const rl_pack_header *h = f->header;
    realm_status st;

    if (whole && h->whole_bytes)
        st = rl_gguf_open_memory(&m->gguf, f->whole, (size_t)h->whole_bytes, true, err);
    else
        st = rl_gguf_open_memory(&m->gguf, f->metadata, (size_t)h->metadata_bytes, true, err);
    if (st == REALM_OK && h->tables_bytes)
        rl_gguf_attach(m->gguf, f->tables, (size_t)h->tables_bytes);
    return st;
}

static realm_status load(rl_model *m, bool whole, realm_error *err)
{
    const rl_arch *arch;
    rl_slots slots;
    realm_status st = open_metadata(m, whole, err);

    if (st == REALM_OK)
        st = rl_params_read(m->gguf, &arch, &m->params, err);
    if (st == REALM_OK)
        st = rl_slots_init(&slots, m->gguf, arch, &m->params, err);
    if (st != REALM_OK)
        return st;
    m->arch = *arch;
    m->layers = rl_arena_alloc_array(&m->arena, m->params.n_layers, sizeof *m->layers);
    st = m->layers ? bind_tensors(m, &slots, err) : no_memory(err);
    if (st == REALM_OK)
        st = rl_model_derive(m, err);
    if (st == REALM_OK)
        fill_info(m, &slots);
    rl_slots_deinit(&slots);
    return st;
}

/* Brings the pages in now, on the loading thread, so that no forward pass waits for the disk. Only
 * advice: what does not fit in memory is read when used. */
static void read_ahead(const rl_packfile *f)
{
#ifdef MADV_POPULATE_READ
    if (madvise(f->map, f->bytes, MADV_POPULATE_READ) == 0)
        return;
#endif
    (void)madvise(f->map, f->bytes, MADV_WILLNEED);
}

realm_status rl_model_open(rl_model **out, const char *packed_path, const rl_model_opts *opts,
                           realm_error *err)
{
    rl_model *m = rl_alloc(sizeof *m);
    realm_status st;

    *out = NULL;
    if (!m)
        return no_memory(err);
    m->kn = rl_kernels_get();
    m->reference = opts && opts->reference;
    st = rl_packfile_open(&m->file, packed_path, err);
    if (st == REALM_OK)
        st = load(m, opts && opts->whole, err);
    if (st != REALM_OK) {
        rl_model_close(m);
        return st;
    }
    if (!opts || !opts->look)
        read_ahead(&m->file);
    *out = m;
    return REALM_OK;
}

void rl_model_close(rl_model *m)
{
    if (!m)
        return;
    rl_gguf_close(m->gguf);
    rl_arena_deinit(&m->arena);
    rl_packfile_close(&m->file);
    rl_free(m);
}

const rl_model_info *rl_model_get_info(const rl_model *m)
{
    return &m->info;
}

const rl_gguf *rl_model_gguf(const rl_model *m)
{
    return m->gguf;
}

rl_kv_layout rl_model_kv_layout(const rl_model *m, rl_kv_type type)
{
    rl_kv_layout l = { .type = type,
                       .n_groups = m->n_groups,
                       .n_heads = m->params.n_kv_heads,
                       .head_dim = m->params.head_dim };

    memcpy(l.n_layers, m->group_layers, sizeof l.n_layers);
    return l;
}
