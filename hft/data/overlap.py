"""How much of the held-out rows stands in the training rows: the same context, the same question, shared 8-grams."""

from typing import NamedTuple

WORDS = 8
SUSPECT = 0.5  # a held-out row with at least this share of its 8-grams in the training rows counts as leaked


class Overlap(NamedTuple):
    """Counts of held-out rows, out of `rows`; `ngrams` is the mean share of their 8-grams that training rows have."""

    rows: int
    same_row: int
    same_context: int
    same_question: int
    suspect: int
    ngrams: float

    @property
    def leaks(self) -> bool:
        """Whether the held-out rows say little about new ones."""
        return bool(self.same_row or self.same_context or 2 * self.suspect > self.rows)

    def describe(self) -> str:
        """The counts in a sentence."""
        return (
            f"of {self.rows} held-out rows {self.same_row} are training rows, "
            f"{self.same_context} have a trained context, "
            f"{self.suspect} have {SUSPECT:.0%} or more of their {WORDS}-grams in training rows "
            f"(mean {self.ngrams:.0%}); {self.same_question} repeat a question's wording"
        )


def texts(row: dict) -> tuple[str, str]:
    """(context, question) of a row, white space collapsed; what is absent is empty."""
    if row.get("messages"):
        turns = [str(turn.get("content")) for turn in row["messages"][:-1] if turn.get("role") != "system"]
        return "", " ".join(" ".join(turns).split())
    context = row.get("context") or row.get("input") or ""
    asked = row.get("question") or row.get("Question") or row.get("instruction") or ""
    return " ".join(str(context).split()), " ".join(str(asked).split())


def grams(text: str) -> set[int]:
    """Hashes of the text's word 8-grams; a shorter text has none: it is compared as a whole."""
    words = text.lower().split()
    return {hash(tuple(words[i : i + WORDS])) for i in range(len(words) - WORDS + 1)}


def measure(train: list[dict], evaluate: list[dict]) -> Overlap:
    """Compare two lists of rows by their contexts and questions."""
    pairs = {texts(row) for row in train} - {("", "")}
    contexts = {context for context, _ in pairs} - {""}
    questions = {asked for _, asked in pairs} - {""}
    known = set().union(*(grams(context or asked) for context, asked in {(c, "" if c else q) for c, q in pairs}))
    same_row = same_context = same_question = suspect = 0
    shares = []
    for row in evaluate:
        context, asked = texts(row)
        same_row += (context, asked) in pairs
        same_context += context in contexts
        same_question += asked in questions
        own = set() if row.get("compare_whole") else grams(context or asked)
        shares.append(len(own & known) / len(own) if own else 0.0)
        suspect += shares[-1] >= SUSPECT
    return Overlap(
        len(evaluate), same_row, same_context, same_question, suspect, sum(shares) / len(shares) if shares else 0.0
    )
