"""The recipes that come with hft, by name: recipes/ holds a user's own too."""

SHIPPED = (
    *("codeio", "codeio_small", "codeio_small_grpo"),
    *("grpo_gsm8k", "grpo_indonesian", "grpo_indonesian_small", "grpo_quickstart"),
    *("korquad_llama2", "korquad_qlora", "korquad_small", "korquad_tutorial"),
    *("medical_1", "medical_2", "medical_quickstart_1", "medical_quickstart_2", "medical_small_1", "medical_small_2"),
    "quickstart",
)
