"""The recipes that come with hft, by name: recipes/ holds a user's own too."""

SHIPPED = (
    *("codeio", "grpo_gsm8k", "grpo_indonesian", "grpo_quickstart"),
    *("korquad_llama2", "korquad_qlora", "korquad_tutorial"),
    *("medical_1", "medical_2", "medical_quickstart_1", "medical_quickstart_2", "quickstart"),
)
