#include "load/prompt.h"

#include "load/rng.h"

/* clang-format off */
const char *const rl_load_words[RL_LOAD_PROMPT_WORDS] = {
    "time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school",
    "state", "family", "student", "group", "country", "problem", "hand", "part", "place", "case", "week",
    "company", "system", "program", "question", "work", "government", "number", "night", "point", "home",
    "water", "room", "mother", "area", "money", "story", "fact", "month", "lot", "right", "study", "book",
    "eye", "job", "word", "business", "issue", "side", "kind", "head", "house", "service", "friend",
    "father", "power", "hour", "game", "line", "end", "member", "law", "car", "city", "community", "name",
    "president", "team", "minute", "idea", "kid", "body", "information", "back", "parent", "face", "level",
    "office", "door", "health", "person", "art", "war", "history", "party", "result", "change", "morning",
    "reason", "research", "girl", "guy", "moment", "air", "teacher", "force", "education", "foot", "boy",
    "age", "policy", "music", "market", "sense", "nation", "plan", "college", "interest", "death",
    "experience", "effect", "use", "class", "control", "field", "development", "role", "effort", "rate",
    "heart", "drug", "show", "leader", "light", "voice", "wife", "police", "mind", "price", "report",
    "decision", "son", "view", "relationship", "town", "road", "arm", "difference", "value", "building",
    "action", "season", "society", "tax", "director", "position", "player", "record", "paper", "space",
    "ground", "form", "event", "official", "matter", "center", "couple", "site", "project", "activity",
    "star", "table", "need", "court", "oil", "situation", "cost", "industry", "figure", "street", "image",
    "phone", "data", "picture", "practice", "piece", "land", "product", "doctor", "wall", "patient",
    "worker", "news", "test", "movie", "north", "love", "support", "technology", "step", "baby", "computer",
    "type", "attention", "film", "tree", "source", "organization", "hair", "look", "window", "culture",
    "chance", "brother", "energy", "period", "course", "summer", "plant", "opportunity", "term", "letter",
    "condition", "choice", "rule", "daughter", "south", "husband", "floor", "campaign", "material",
    "population", "call", "economy", "hospital", "church", "risk", "fire", "future", "bank", "west",
    "sport", "board", "subject", "officer", "rest", "behavior", "performance", "fight", "top", "goal",
    "bed", "order", "author", "blood", "agency", "nature", "color", "store", "king", "song", "train",
    "river", "garden",
};
/* clang-format on */

/* One to one on 32 bits: both multipliers are odd, and x ^ x >> k can be undone. */
static uint32_t mix(uint32_t x, uint64_t seed)
{
    x ^= (uint32_t)(seed ^ (seed >> 32));
    x = (x ^ (x >> 16)) * 0x45d9f3bu;
    x = (x ^ (x >> 15)) * 0x2c1b3c6du;
    return x ^ (x >> 16);
}

void rl_load_prompt_write(rl_buf *out, uint64_t seed, uint32_t number, uint32_t n_words)
{
    uint32_t spelled = mix(number, seed);
    rl_load_rng rng = { seed + ((uint64_t)number << 32) };

    for (uint32_t i = 0; i < n_words || i < RL_LOAD_PROMPT_LEAST; i++) {
        uint32_t w = i < RL_LOAD_PROMPT_LEAST ? spelled >> (8 * i)
                                              : (uint32_t)(rl_load_rng_next(&rng) >> 56);

        if (i)
            (void)rl_buf_add(out, " ", 1);
        (void)rl_buf_adds(out, rl_load_words[w % RL_LOAD_PROMPT_WORDS]);
    }
}
