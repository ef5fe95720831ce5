#include "guest/tool_format.h"

#include <string.h>

static const rl_tool_format formats[] = {
    { .name = "hermes", /* and Qwen 2.5, Qwen 3 */
      .sign = "<tool_call>",
      .marker = "<tool_call>",
      .open = "\n",
      .between = "\n</tool_call>\n<tool_call>\n",
      .close = "\n</tool_call>",
      .args = "arguments",
      .marks = { "<tool_call>", "</tool_call>" },
      .bare = true,
      .again = true },
    { .name = "mistral",
      .sign = "[TOOL_CALLS]",
      .marker = "[TOOL_CALLS]",
      .open = " [",
      .between = ", ",
      .close = "]",
      .args = "arguments",
      .marks = { "[TOOL_CALLS]" },
      .id_chars = 9 },
    { .name = "llama", /* 3.1 and later */
      .sign = "\"parameters\": dictionary of argument name",
      .marker = "",
      .open = "",
      .between = "; ",
      .close = "",
      .args = "parameters",
      .marks = { "<|python_tag|>" },
      .single = true },
};

#define N_FORMATS (sizeof formats / sizeof *formats)

/* A template may have more than one sign: the first row's counts. */
const rl_tool_format *rl_tool_format_of(const rl_chat *chat)
{
    if (!chat || !rl_chat_mentions(chat, "tools"))
        return NULL;
    for (size_t i = 0; i < N_FORMATS; i++)
        if (rl_chat_mentions(chat, formats[i].sign))
            return &formats[i];
    return NULL;
}

const rl_tool_format *rl_tool_format_default(void)
{
    return &formats[0];
}

const rl_tool_format *rl_tool_format_named(const char *name)
{
    for (size_t i = 0; i < N_FORMATS; i++)
        if (strcmp(formats[i].name, name) == 0)
            return &formats[i];
    return NULL;
}
