#!/usr/bin/env python3
"""chat.py PROGRAM: chat templates rendered by PROGRAM (render_chat) and by transformers, compared.

The templates use the constructs of the model families' own; each is rendered for several conversations. Exit status 77
(skipped) without transformers.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

try:
    from transformers.utils.chat_template_utils import _compile_jinja_template
except ImportError as error:
    print(f"SKIPPED: {error}; run: .venv/bin/pip install transformers jinja2")
    sys.exit(77)

CHATML = """{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system
Be brief.<|im_end|>
' }}{% endif %}{{'<|im_start|>' + message['role'] + '
' + message['content'] + '<|im_end|>' + '
'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant
' }}{% endif %}
"""

LLAMA2 = """{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}
{%- else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}
{% for message in loop_messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}
{{ raise_exception('Roles must take turns') }}{% endif %}
{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}
{% else %}{% set content = message['content'] %}{% endif %}
{% if message['role'] == 'user' %}{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}
{% elif message['role'] == 'assistant' %}{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}"""

LLAMA3 = """{%- set offset = 0 %}
{{- bos_token }}
{#- A comment that leaves nothing behind #}
{%- if not date_string is defined %}
    {%- set date_string = "26 Jul 2024" %}
{%- endif %}
{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content']|trim %}
    {%- set messages = messages[1:] %}
{%- else %}
    {%- set system_message = "" %}
{%- endif %}
{{- "<|start_header_id|>system<|end_header_id|>\\n\\n" }}
{%- if tools is not none and tools is defined %}
    {{- "Environment: ipython\\n" }}
    {%- for t in tools %}
        {{- t | tojson(indent=4) }}
        {{- "\\n\\n" }}
    {%- endfor %}
{%- endif %}
{{- "Today Date: " + date_string + "\\n\\n" }}
{{- system_message }}
{{- "<|eot_id|>" }}
{%- for message in messages %}
    {%- if not (message.role == 'ipython' or message.role == 'tool' or 'tool_calls' in message) %}
        {{- '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | trim + '<|eot_id|>' }}
    {%- elif 'tool_calls' in message %}
        {%- if not message.tool_calls|length == 1 %}
            {{- raise_exception("Only one call at a time") }}
        {%- endif %}
        {%- set tool_call = message.tool_calls[0].function %}
        {{- '{"name": "' + tool_call.name + '", ' }}
        {{- '"parameters": ' }}
        {{- tool_call.arguments | tojson }}
        {{- "}" }}
    {%- elif message.role == "tool" or message.role == "ipython" %}
        {%- if message.content is mapping or message.content is iterable %}
            {{- message.content | tojson }}
        {%- else %}
            {{- message.content }}
        {%- endif %}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}
"""

MISTRAL = """{%- if messages[0]["role"] == "system" %}
    {%- set system_message = messages[0]["content"] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{%- if not tools is defined %}{%- set tools = none %}{%- endif %}
{%- set user_messages = loop_messages | selectattr("role", "equalto", "user") | list %}
{%- set ns = namespace(index=0) %}
{%- for message in loop_messages %}
    {%- if not (message.role == "tool" or message.tool_calls is defined) %}
        {%- set ns.index = ns.index + 1 %}
    {%- endif %}
{%- endfor %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message["role"] == "user" %}
        {%- if tools is not none and (message == user_messages[-1]) %}
            {{- "[AVAILABLE_TOOLS] [" }}
            {%- for tool in tools %}
                {%- set tool = tool.function %}
                {{- '{"type": "function", "function": {' }}
                {%- for key, val in tool.items() if key != "return" %}
                    {%- if val is string %}
                        {{- '"' + key + '": "' + val + '"' }}
                    {%- else %}
                        {{- '"' + key + '": ' + val|tojson }}
                    {%- endif %}
                    {%- if not loop.last %}
                        {{- ", " }}
                    {%- endif %}
                {%- endfor %}
                {{- "}}" }}
                {%- if not loop.last %}{{- ", " }}{%- else %}{{- "]" }}{%- endif %}
            {%- endfor %}
            {{- "[/AVAILABLE_TOOLS]" }}
        {%- endif %}
        {%- if loop.last and system_message is defined %}
            {{- "[INST] " + system_message + "\\n\\n" + message["content"] + "[/INST]" }}
        {%- else %}
            {{- "[INST] " + message["content"] + "[/INST]" }}
        {%- endif %}
    {%- elif message["role"] == "assistant" and message.content %}
        {{- " " + message["content"]|trim + eos_token}}
    {%- endif %}
{%- endfor %}
{{- ns.index }}"""

QWEN3 = """{%- set ns = namespace(multi_step=true, last=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step and message.role == "user" and not(message.content.startswith('<tool>') and message.content.endswith('</tool>')) %}
        {%- set ns.multi_step = false %}
        {%- set ns.last = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}{%- set content = message.content %}{%- else %}{%- set content = '' %}{%- endif %}
    {%- set reasoning = '' %}
    {%- if '</think>' in content %}
        {%- set reasoning = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
        {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
    {%- endif %}
    {%- if loop.index0 > ns.last and (loop.last or (not loop.last and reasoning)) %}
        {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning.strip('\\n') + '\\n</think>\\n\\n' + content }}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + content }}
    {%- endif %}
    {%- if message.tool_calls %}
        {%- for call in message.tool_calls %}
            {%- if (loop.first and content) or (not loop.first) %}{{- '\\n' }}{%- endif %}
            {%- if call.function %}{%- set call = call.function %}{%- endif %}
            {{- '<tool_call>\\n{"name": "' ~ call.name ~ '", "arguments": ' }}
            {%- if call.arguments is string %}{{- call.arguments }}{%- else %}{{- call.arguments | tojson }}{%- endif %}
            {{- '}\\n</tool_call>' }}
        {%- endfor %}
    {%- endif %}
    {{- '<|im_end|>\\n' }}
    {%- if message.role == "tool" and (loop.last or (messages[loop.index0 + 1].role != "tool")) %}{{- 'end of tools\\n' }}{%- endif %}
{%- endfor %}
{%- if add_generation_prompt and enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>' }}{%- endif %}
"""

GEMMA = """{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('There is no system role') }}{% endif %}
{% for message in messages %}
  {% if (message['role'] == 'assistant') %}
    {% set role = 'model' %}
  {% else %}
    {% set role = message['role'] %}
  {% endif %}
{{ '<start_of_turn>' + role + '\\n' + message['content'] | trim + '<end_of_turn>\\n' }}
  {%+ if true %} kept {% endif +%}
{% endfor %}"""

PHI = """{% for message in messages %}{% if message['role'] in ['user', 'system'] and message['content'] %}{{'<|' ~ message.role ~ '|>\\n' ~ message.content ~ '<|end|>\\n'}}
{% else %}{% continue %}{% endif %}{% if loop.index > 3 %}{% break %}{% endif %}{% else %}nobody spoke{% endfor %}{{ '<|assistant|>' if add_generation_prompt else eos_token }}"""

MACROS = """{%- macro line(role, text='(nothing)', end='\\n') -%}
[{{ role|upper }}] {{ text }}{{ end }}
{%- endmacro -%}
{%- macro describe(tool) %}{% set f = tool.function %}{{ f.name }}({% for p, d in f.parameters.properties|items %}{{ p }}: {{ d.type }}{% if p in f.parameters.required %}!{% endif %}{% if not loop.last %}, {% endif %}{% endfor %}){% endmacro %}
{%- for tool in tools or [] %}{{ describe(tool) }}; {% endfor -%}
{%- for m in messages %}{{ line(m.role, m.content) }}{% endfor %}{{ line('x') }}{{ line(end='|', role='y') }}"""

TYPES = """{{ [1, 2.5, 'a"b', "it's", none, true, {'k': [1]}] }} {{ (1, 2)[0] }} {{ {'a': 1}['a'] }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 7 / 2 }} {{ 2 ** 5 }}
{{ messages[-1].content[:5] }}|{{ messages[-1].content[-3:] }}|{{ messages[-1].content[::2] }}|{{ 'abc'[::-1] }}|{{ 'a,b,,c'.split(',') }}|{{ ' a  b '.split() }}|{{ 'a-b-c'.rsplit('-', 1) }}
{{ 'hello world'|title }} {{ 'HELLO'|capitalize }} {{ 'x'|upper }} {{ ['b', 'a']|sort|join('+') }} {{ [1,2,3]|first }} {{ [1,2,3]|last }} {{ [3,1]|length }}
{{ missing|default('none here') }} {{ missing is undefined }} {{ '' or 'empty' }} {{ 'a' and 'b' }} {{ not missing }} {{ 1 < 2 <= 2 != 3 }} {{ 'a' not in 'bcd' }}
{{ range(3)|list }} {{ range(1, 10, 4)|list }} {{ messages|map(attribute='role')|join(', ') }} {{ messages|rejectattr('role', 'in', ['system'])|list|length }} {{ ['x', '']|select|list }}
{{ {'b': 1, 'a': {'c': 'é<&>\\u2028'}}|tojson }} {{ 'line\\none'|indent(2) }} {{ '5'|int + 1 }} {{ 'x'|string ~ 1.0 }} {{ 3|float }} {{ 3 is odd }} {{ 4 is divisibleby 2 }} {{ 'ab'.replace('a', 'c') }} {{ 'a' * 3 }}
{%- set a, b = 1, 2 %}{{ a + b }}{% set x %}block {{ a }}{% endset %}{{ x|length }} {{ messages[0].get('nothing', 'other') }} {{ messages[0].get('nothing') }} {{ 'abc'.find('c') }} {{ '{:}' }} {{ "}}" }} {{ '%}' }}
{% for k, v in {'one': 1, 'two': 2}.items() %}{{ loop.revindex }}{{ k }}={{ v }}{{ "," if not loop.last }}{% endfor %} {{ loop is defined }} {% for c in 'xyz' if c != 'y' %}{{ loop.index }}{{ c }}{{ loop.previtem|default('-') }}{% endfor %}
{{ 'T' if 0.0 else 'F' }} {{ [] == [] }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' < 'b' }} {{ (1 if false) is undefined }} {{ namespace(a=1).a }} {{ dict(x=1)|tojson }} {{ ' x '.strip() ~ '|' }}{{ 'xxaxx'.strip('x') }}"""

GENERATION = """{% for message in messages %}{% if message['role'] == 'assistant' %}{% generation %}{{ message['content'] }}{% endgeneration %}{% else %}{{ message['content'] }}{% endif %}
    {# blanks before and after #}
{% endfor %}  end   """

PARTS = """{%- for message in messages -%}
    {%- if message.content is string -%}{{ message.content }}
    {%- elif message.content is iterable -%}{% for part in message.content %}{% if part.type == 'image' %}<image>{% elif part['type'] == 'text' and 'text' in part %}{{ part.text | trim }}{% endif %}{% endfor %}
    {%- endif -%}{{ '\\n' if not loop.last else '' }}
{%- endfor -%}"""

ZEPHYR = """{% for message in messages %}
{% if message['role'] == 'user' %}
{{ '<|user|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'system' %}
{{ '<|system|>\\n' + message['content'] + eos_token }}
{% elif message['role'] == 'assistant' %}
{{ '<|assistant|>\\n'  + message['content'] + eos_token }}
{% endif %}
{% if loop.last and add_generation_prompt %}
{{ '<|assistant|>' }}
{% endif %}
{% endfor %}

"""

TEMPLATES = {name.lower(): text for name, text in globals().items() if name.isupper() and isinstance(text, str)}


def message(role, content, **more):
    return {"role": role, "content": content, **more}


TOOL = {"type": "function", "function": {"name": "weather", "description": "Finds \u00e9 <b>", "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}}}
CALL = {"function": {"name": "weather", "arguments": {"city": "K\u00f6ln", "days": 2, "x": [1, 2.5, None, True]}}}
CONVERSATIONS = [
    {"messages": [message("user", "  Hello, world!  ")]},
    {"messages": [message("system", "Be kind."), message("user", "Hi"), message("assistant", "<think>\nhm\n</think>\n\nHello"),
                  message("user", "\u4e2d\u6587 \U0001F600\nline")]},
    {"messages": [message("user", "Weather?"), message("assistant", "", tool_calls=[CALL]), message("tool", "sunny"),
                  message("assistant", "It is sunny.")], "tools": [TOOL]},
    {"messages": [message("user", [{"type": "image"}, {"type": "text", "text": " What is this? "}])], "tools": None},
    {"messages": [], "enable_thinking": False},
]


def theirs(template, variables):
    try:
        return _compile_jinja_template(template).render(**variables)
    except Exception as error:  # every refusal counts alike
        return {"error": str(error)}


def main():
    cases = []
    for name, template in TEMPLATES.items():
        for conversation in CONVERSATIONS:
            for prompt in (False, True):
                cases.append((name, template, {**conversation, "add_generation_prompt": prompt, "bos_token": "<s>", "eos_token": "</s>"}))
    with tempfile.TemporaryDirectory() as folder:
        lines = pathlib.Path(folder) / "cases.jsonl"
        lines.write_text("".join(json.dumps([template, variables]) + "\n" for _, template, variables in cases))
        output = subprocess.run([sys.argv[1], lines], check=True, capture_output=True, text=True).stdout
    wrong = texts = 0
    for (name, template, variables), line in zip(cases, output.split("\n")):
        mine, expected = json.loads(line), theirs(template, variables)
        texts += isinstance(expected, str)
        same = mine == expected if isinstance(expected, str) else isinstance(mine, dict)
        if not same:
            wrong += 1
            print(f"{name}: {json.dumps(variables)[:200]}\n  ours   {mine!r}\n  theirs {expected!r}")
    print(f"{len(TEMPLATES)} templates, {len(cases)} conversations ({texts} give text, the others are refused), {wrong} differ")
    return 1 if wrong or texts < len(cases) // 2 else 0


sys.exit(main())
