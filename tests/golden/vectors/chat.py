#!/usr/bin/env python3
"""Chat vectors: what Jinja2, set up as transformers does, makes of requests.

usage: chat.py QWEN.gguf > chat.json     (needs jinja2 and gguf; made with jinja2 3.1.6)

A set is a template and its cases. The first set's template is the model's own (not repeated in the
output); the others are written for this test and touch what chat templates use.
"""
import json
import sys

import jinja2
import jinja2.ext
import jinja2.sandbox
from gguf import GGUFReader


def raise_exception(message):
    raise jinja2.exceptions.TemplateError(message)


def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


def render(template, request):
    env = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols])
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    names = {"tools": None, "documents": None, "add_generation_prompt": True}
    names.update(bos_token=BOS, eos_token=EOS)
    names.update(request)
    return env.from_string(template).render(**names)


def user(text):
    return {"role": "user", "content": text}


TOOL = {"type": "function", "function": {"name": "weather", "description": "What's the weather in <a> & \"b\"? é",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"},
                       "days": {"type": "integer", "default": 1}, "x": {"enum": [1, 2.5, None, True]}},
                       "required": ["city"]}}}
CALL = {"role": "assistant", "content": None, "tool_calls": [
    {"type": "function", "function": {"name": "weather", "arguments": {"city": "Köln", "days": 2}}}]}

QWEN_CASES = [
    {"messages": [user("Hi")]},
    {"messages": [user("Hi")], "add_generation_prompt": False},
    {"messages": [{"role": "system", "content": "Be brief.\n"}, user(" a  b "), {"role": "assistant", "content": "c"},
                  user("d")]},
    {"messages": [user("你好 😀\n\n\ttabs")]},
    {"messages": [user("Weather?")], "tools": [TOOL]},
    {"messages": [{"role": "system", "content": "S"}, user("Weather?"), CALL,
                  {"role": "tool", "content": "{\"sun\": true}"}, {"role": "tool", "content": "rain"},
                  {"role": "assistant", "content": "So so."}, user("Thanks")], "tools": [TOOL, TOOL]},
    {"messages": [user("x"), dict(CALL, content="Let me see."), {"role": "tool", "content": "1"}]},
]

SETS = [
    ("{% for m in messages %}\n    {% if m.role == 'user' %}\nU:{{ m.content | trim }}\n    {% else %}\nA:{{ m['content'].strip() }}\n"
     "    {%- endif %}\n{% endfor %}\nend\n",
     [{"messages": [user(" x "), {"role": "assistant", "content": "\ty\n"}, user("z")]}]),
    ("{{ bos_token }}{% if messages[0].role == 'system' %}{% set sys = messages[0].content %}{% set rest = messages[1:] %}"
     "{% else %}{% set sys = '' %}{% set rest = messages %}{% endif %}"
     "{% for m in rest %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('roles must alternate') }}{% endif %}"
     "{% if loop.first and sys %}{{ '<<' + sys + '>>\n' }}{% endif %}[{{ m.role | upper }}]{{ m.content }}{{ eos_token if m.role == 'assistant' }}"
     "{% endfor %}",
     [{"messages": [{"role": "system", "content": "s"}, user("u"), {"role": "assistant", "content": "a"}]},
      {"messages": [user("u")]}]),
    ("{% set ns = namespace(n=0, last='') %}{% for m in messages %}{% set ns.n = ns.n + 1 %}{% set ns.last = m.content %}{% endfor %}"
     "{{ ns.n }} {{ ns.last }} {{ messages | length }} {{ none }} {{ true }} {{ false }} {{ 7 // 2 }} {{ 1.5 * 2 }}",
     [{"messages": [user("a"), user("b")]}]),
    ("{% macro box(x, deep=false) %}<{{ x }}{{ '!' if deep }}>{% endmacro %}"
     "{% for m in messages if m.role != 'tool' %}{{ box(m.content, deep=loop.last) }}{% endfor %}"
     "{{ messages | map(attribute='role') | join(',') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }}",
     [{"messages": [user("a"), {"role": "tool", "content": "t"}, user("b")]}]),
    ("{{ tools | tojson }}\n{{ tools | tojson(indent=2) }}\n{{ messages[0].content.split('|')[-1].lstrip() }}"
     "{{ 'yes' if 'a' in messages[0].content }}{{ messages[0].get('name', 'nobody') }}{{ x is defined }}{{ tools is not none }}",
     [{"messages": [user("a| b")], "tools": [TOOL]}]),
    ("{% generation %}{{ messages[0].content }}{% endgeneration %}"
     "{%- for k, v in messages[0].items() %} {{ k }}={{ v }}{%- endfor %}{{ '\\n' }}{% break_test %}"
     .replace("{% break_test %}", "{% for i in range(9) %}{% if i == 3 %}{% break %}{% endif %}{% if i == 1 %}{% continue %}{% endif %}{{ i }}{% endfor %}"),
     [{"messages": [user("a")]}]),
]

reader = GGUFReader(sys.argv[1])
field = lambda key: reader.fields[key].parts[-1]
token = lambda key: bytes(reader.fields["tokenizer.ggml.tokens"].parts[
    reader.fields["tokenizer.ggml.tokens"].data[int(field(key)[0])]]).decode()
BOS, EOS = token("tokenizer.ggml.bos_token_id"), token("tokenizer.ggml.eos_token_id")
SETS.insert(0, (bytes(field("tokenizer.chat_template")).decode(), QWEN_CASES))
out = []
for i, (template, requests) in enumerate(SETS):
    plain = template.replace("{% generation %}", "").replace("{% endgeneration %}", "")
    cases = [{"request": r, "text": render(plain, r)} for r in requests]
    out.append({"template": template if i else None, "cases": cases})
json.dump(out, sys.stdout, ensure_ascii=False, indent=1)
