"""Prompts of korquad_small: a question about a passage, in the model's own chat template."""


def ask(row, instruction):
    """A row of KorQuAD -> (chat, answer): the question stands before the passage too, which is then read with it in mind."""
    system = [{"role": "system", "content": instruction}] if instruction else []
    asked, passage = row["question"].strip(), row["context"].strip()
    return [*system, {"role": "user", "content": f"질문: {asked}\n\n지문: {passage}\n\n질문: {asked}"}], row["answer"]


def make(row, instruction):
    """The other way round, for a mixture: (chat, question) of a passage and an answer."""
    told = "지문과 정답을 읽고, 그 정답이 나오는 질문을 쓰세요."
    given = f"지문: {row['context'].strip()}\n\n정답: {row['answer'].strip()}"
    return [{"role": "system", "content": told}, {"role": "user", "content": given}], row["question"]
