r"""Chat templates of six well-known models, written out, and a small tokenizer for each.

Each renders what the template published with the model renders; the Jinja is ours, the texts in it are the models'.
`data/test_templates.py` compares them with those that TRL ships. They cover the ways a reasoning turn is written:

- Qwen3: an empty `<think>` block in front of a last answer without one; takes earlier reasoning out
- DeepSeek-R1-Distill: opens `<think>\n` in the generation prompt; takes all reasoning out of what it renders
- DeepSeek-R1-0528-Qwen3-8B: does not open it; takes all reasoning out
- Llama-3.1, Qwen2.5, SmolLM2: know of no reasoning
"""

import functools

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

QWEN_TOOLS = r"""{%- macro call(one, text_as_it_is) %}
    {%- set one = one.function or one %}
    {{- '<tool_call>\n{"name": "' ~ one.name ~ '", "arguments": ' }}
    {{- one.arguments if one.arguments is string and text_as_it_is else one.arguments|tojson }}
    {{- '}\n</tool_call>' }}
{%- endmacro %}
{%- macro told(tools) %}
    {{- '# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with ' }}
    {{- 'function signatures within <tools></tools> XML tags:\n<tools>' }}
    {%- for tool in tools %}{{ '\n' ~ tool|tojson }}{% endfor %}
    {{- '\n</tools>\n\nFor each function call, return a json object with function name and arguments within ' }}
    {{- '<tool_call></tool_call> XML tags:\n<tool_call>\n{"name": <function-name>, "arguments": ' }}
    {{- '<args-json-object>}\n</tool_call>' }}
{%- endmacro %}
{%- macro answered(i, content) %}
    {{- '<|im_start|>user' if i == 0 or messages[i - 1].role != 'tool' }}
    {{- '\n<tool_response>\n' ~ content ~ '\n</tool_response>' }}
    {{- '<|im_end|>\n' if i + 1 == messages|length or messages[i + 1].role != 'tool' }}
{%- endmacro %}
"""
QWEN3 = (
    QWEN_TOOLS
    + r"""{%- set led = messages[0].role == 'system' %}
{%- if tools %}{{ '<|im_start|>system\n' ~ (messages[0].content ~ '\n\n' if led) ~ told(tools) ~ '<|im_end|>\n' }}
{%- elif led %}{{ '<|im_start|>system\n' ~ messages[0].content ~ '<|im_end|>\n' }}{% endif %}
{%- set last = namespace(question=messages|length - 1) %}
{%- for turn in messages %}
    {%- set around = (turn.content or '')[:15] ~ (turn.content or '')[-16:] %}
    {%- if turn.role == 'user' and around != '<tool_response></tool_response>' %}
        {%- set last.question = loop.index0 %}
    {%- endif %}
{%- endfor %}
{%- for turn in messages %}
    {%- set content = turn.content if turn.content is string else '' %}
    {%- if turn.role == 'user' or (turn.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' ~ turn.role ~ '\n' ~ content ~ '<|im_end|>\n' }}
    {%- elif turn.role == 'assistant' %}
        {%- set thought = turn.reasoning_content if turn.reasoning_content is string else '' %}
        {%- if turn.reasoning_content is not string and '</think>' in content %}
            {%- set thought = content.split('</think>')[0].rstrip('\n').split('<think>')[-1].lstrip('\n') %}
            {%- set content = content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {{- '<|im_start|>assistant\n' }}
        {%- if loop.index0 > last.question and (loop.last or thought) %}
            {{- '<think>\n' ~ thought.strip('\n') ~ '\n</think>\n\n' ~ content.lstrip('\n') }}
        {%- else %}{{ content }}{% endif %}
        {%- for one in turn.tool_calls or [] %}{{ '\n' if content or not loop.first }}{{ call(one, true) }}{% endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif turn.role == 'tool' %}{{ answered(loop.index0, content) }}{% endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}{{ '<think>\n\n</think>\n\n' if enable_thinking is false }}
{%- endif %}"""
)
QWEN25 = (
    QWEN_TOOLS
    + r"""{%- set own = 'You are Qwen, created by Alibaba Cloud. You are a helpful assistant.' %}
{{- '<|im_start|>system\n' ~ (messages[0].content if messages[0].role == 'system' else own) }}
{{- '\n\n' ~ told(tools) if tools }}{{- '<|im_end|>\n' }}
{%- for turn in messages %}
    {%- if turn.role == 'tool' %}{{ answered(loop.index0, turn.content) }}
    {%- elif turn.role == 'assistant' and turn.tool_calls %}
        {{- '<|im_start|>assistant' ~ ('\n' ~ turn.content if turn.content) }}
        {%- for one in turn.tool_calls %}{{ '\n' ~ call(one, false) }}{% endfor %}{{ '<|im_end|>\n' }}
    {%- elif turn.role in ('user', 'assistant') or (turn.role == 'system' and not loop.first) %}
        {{- '<|im_start|>' ~ turn.role ~ '\n' ~ turn.content ~ '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{{- '<|im_start|>assistant\n' if add_generation_prompt }}"""
)
R1_CALLS = r"""{%- macro call(one) %}
    {{- '<｜tool▁call▁begin｜>' ~ one.type ~ '<｜tool▁sep｜>' ~ one.function.name ~ '\n```json\n' }}
    {{- one.function.arguments + '\n```<｜tool▁call▁end｜>' }}
{%- endmacro %}
{%- set ns = namespace(tool=false, first_output=true, called=false, system='', asked=false) %}
"""
# Its quirks are kept: of two system turns the last stands, a turn with calls and words loses the calls, and the calls
# end only where there are two.
R1_DISTILL = (
    R1_CALLS
    + r"""{%- for turn in messages if turn.role == 'system' %}{% set ns.system = turn.content %}{% endfor %}
{{- bos_token ~ ns.system }}
{%- for turn in messages %}
    {%- if turn.role == 'user' %}{% set ns.tool = false %}{{ '<｜User｜>' + turn.content }}
    {%- elif turn.role == 'assistant' and turn.content is none %}
        {%- set ns.tool = false %}
        {%- for one in turn.tool_calls %}
            {{- '\n' ~ call(one) ~ '<｜tool▁calls▁end｜><｜end▁of▁sentence｜>' if ns.called }}
            {{- '<｜Assistant｜><｜tool▁calls▁begin｜>' ~ call(one) if not ns.called }}{% set ns.called = true %}
        {%- endfor %}
    {%- elif turn.role == 'assistant' %}
        {%- set said = '<｜tool▁outputs▁end｜>' + turn.content if ns.tool else '' %}
        {{- said or '<｜Assistant｜>' + turn.content.split('</think>')[-1] }}{{ '<｜end▁of▁sentence｜>' }}
        {%- set ns.tool = false %}
    {%- elif turn.role == 'tool' %}
        {%- set ns.tool = true %}
        {{- '<｜tool▁outputs▁begin｜>' if ns.first_output else '\n' }}{% set ns.first_output = false %}
        {{- '<｜tool▁output▁begin｜>' + turn.content + '<｜tool▁output▁end｜>' }}
    {%- endif %}
{%- endfor %}
{{- '<｜tool▁outputs▁end｜>' if ns.tool }}
{{- '<｜Assistant｜><think>\n' if add_generation_prompt and not ns.tool }}"""
)
R1_0528 = (
    R1_CALLS
    + r"""{{- bos_token ~ messages|selectattr('role', 'equalto', 'system')|map(attribute='content')|join('\n\n') }}
{%- for turn in messages %}
    {%- set content = turn.content %}
    {%- if turn.role == 'user' %}
        {%- set ns.tool = false %}{% set ns.asked = true %}{{ '<｜User｜>' + content + '<｜Assistant｜>' }}
    {%- elif turn.role == 'assistant' %}
        {%- set ns.asked = false %}
        {%- set content = content.split('</think>')[-1] if '</think>' in content else content %}
        {{- '<｜tool▁outputs▁end｜>' if ns.tool }}
        {%- if turn.tool_calls %}
            {%- set ns.first_output = true %}
            {{- content or '' }}{{ '<｜tool▁calls▁begin｜>' }}
            {%- for one in turn.tool_calls %}{{ ('' if loop.first else '\n') ~ call(one) }}{% endfor %}
            {{- '<｜tool▁calls▁end｜><｜end▁of▁sentence｜>' }}
        {%- else %}{{ content + '<｜end▁of▁sentence｜>' }}{% endif %}
        {%- set ns.tool = false %}
    {%- elif turn.role == 'tool' %}
        {%- set ns.asked = false %}{% set ns.tool = true %}
        {{- '<｜tool▁outputs▁begin｜>' if ns.first_output else '\n' }}{% set ns.first_output = false %}
        {{- '<｜tool▁output▁begin｜>' + content + '<｜tool▁output▁end｜>' }}
    {%- endif %}
{%- endfor %}
{{- '<｜tool▁outputs▁end｜>' if ns.tool }}
{{- '<｜Assistant｜>' if add_generation_prompt and not ns.asked and not ns.tool }}"""
)
LLAMA31 = r"""{%- macro says(role, text) %}
    {{- '<|start_header_id|>' ~ role ~ '<|end_header_id|>\n\n' ~ text ~ '<|eot_id|>' }}
{%- endmacro %}
{%- set system = messages[0].content|trim if messages[0].role == 'system' else '' %}
{%- set messages = messages[1:] if messages[0].role == 'system' else messages %}
{%- set dates = 'Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n' %}
{{- bos_token ~ says('system', ('Environment: ipython\n' if tools) ~ dates ~ system) }}
{%- if tools %}
    {%- set told %}
        {{- 'Given the following functions, please respond with a JSON for a function call with its proper ' }}
        {{- 'arguments that best answers the given prompt.\n\nRespond in the format {"name": function name, ' }}
        {{- '"parameters": dictionary of argument name and its value}.Do not use variables.\n\n' }}
        {%- for tool in tools %}{{ tool|tojson(indent=4) ~ '\n\n' }}{% endfor %}
    {%- endset %}
    {{- says('user', told ~ messages[0].content|trim) }}
    {%- set messages = messages[1:] %}
{%- endif %}
{%- for turn in messages %}
    {%- if 'tool_calls' in turn %}
        {%- if turn.tool_calls|length != 1 %}
            {{- raise_exception('This model only supports single tool-calls at once!') }}
        {%- endif %}
        {%- set one = turn.tool_calls[0].function %}
        {{- says('assistant', '{"name": "' ~ one.name ~ '", "parameters": ' ~ one.arguments|tojson ~ '}') }}
    {%- elif turn.role in ('tool', 'ipython') %}{{ says('ipython', turn.content|tojson) }}
    {%- else %}{{ says(turn.role, turn.content|trim) }}{% endif %}
{%- endfor %}
{{- '<|start_header_id|>assistant<|end_header_id|>\n\n' if add_generation_prompt }}"""
SMOLLM2 = r"""{%- if messages[0].role != 'system' %}
    {{- '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}
{%- endif %}
{%- for turn in messages %}{{ '<|im_start|>' + turn.role + '\n' + turn.content + '<|im_end|>\n' }}{% endfor %}
{{- '<|im_start|>assistant\n' if add_generation_prompt }}"""

ALL = {  # and each model's licence
    "Qwen3": QWEN3,  # Qwen/Qwen3-8B, Apache-2.0
    "DeepSeek-R1-Distill": R1_DISTILL,  # deepseek-ai/DeepSeek-R1-Distill-Qwen-7B and -Llama-8B, MIT
    "DeepSeek-R1-0528-Qwen3": R1_0528,  # deepseek-ai/DeepSeek-R1-0528-Qwen3-8B, MIT
    "Llama-3.1": LLAMA31,  # meta-llama/Llama-3.1-8B-Instruct, Llama 3.1 Community License
    "Qwen2.5": QWEN25,  # Qwen/Qwen2.5-7B-Instruct, Apache-2.0
    "SmolLM2": SMOLLM2,  # HuggingFaceTB/SmolLM2-135M-Instruct, Apache-2.0
}
CHATML = ("<|endoftext|>", "<|im_end|>", ["<|im_start|>"])
R1 = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", ["<｜User｜>", "<｜Assistant｜>"])
SPECIAL = {  # the first token of a text, the one that ends a turn, the others
    "Qwen3": CHATML,
    "DeepSeek-R1-Distill": R1,
    "DeepSeek-R1-0528-Qwen3": R1,
    "Llama-3.1": ("<|begin_of_text|>", "<|eot_id|>", ["<|start_header_id|>", "<|end_header_id|>"]),
    "Qwen2.5": CHATML,
    "SmolLM2": CHATML,
}
THINKS = ("Qwen3", "DeepSeek-R1-Distill", "DeepSeek-R1-0528-Qwen3")  # have <think> and </think> as tokens of their own


@functools.cache
def tokenizer(name: str) -> PreTrainedTokenizerFast:
    """A tokenizer of bytes with the model's template and its special tokens; the think tags are no special ones."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytewise = Tokenizer(models.BPE({letter: number for number, letter in enumerate(alphabet)}, []))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bytewise.decoder = decoders.ByteLevel()
    first, last, others = SPECIAL[name]
    bytewise.add_special_tokens([first, last, *others])
    if name in THINKS:
        bytewise.add_tokens([AddedToken(tag, special=False, normalized=False) for tag in ("<think>", "</think>")])
    return PreTrainedTokenizerFast(
        tokenizer_object=bytewise, bos_token=first, eos_token=last, pad_token=first, chat_template=ALL[name]
    )
