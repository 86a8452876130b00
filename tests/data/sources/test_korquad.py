"""KorQuAD and SQuAD v1 files: what a row is, how a damaged file is named, and the fetch of the official one."""

import hashlib
import http.server
import json
import threading
from functools import partial

import pytest
from conftest import SHARED

from hft.data.sources import korquad
from hft.errors import HftError

OFFICIAL = "KorQuAD_v1.0_dev.json"
VISIBLE = SHARED / "korquad" / "KorQuAD_v1.0_dev.visible.json"
CONTEXT = "한강은 서울을 지난다. 길이는 494 km이다."


def asked(name="q1", question="어디를 지나나?", answers=(("서울", 4),)):
    return {
        "id": name,
        "question": question,
        "answers": [{"text": text, "answer_start": start} for text, start in answers],
    }


def squad(*questions, context=CONTEXT, title="한강"):
    return {
        "version": "KorQuAD_v1.0_dev",
        "data": [{"title": title, "paragraphs": [{"context": context, "qas": list(questions)}]}],
    }


def read(folder, content):
    (folder / "a.json").write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return list(korquad.rows(korquad.Spec(source="korquad", file="a.json"), folder))


def refusal(folder, content):
    with pytest.raises(HftError) as error:
        read(folder, content)
    return error.value.message.replace(str(folder), "HERE")


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "byte order mark"])
def test_a_question_becomes_one_row(tmp_path, mark):
    assert read(tmp_path, mark + json.dumps(squad(asked())).encode()) == [
        {
            "id": "q1",
            "title": "한강",
            "context": CONTEXT,
            "question": "어디를 지나나?",
            "answer": "서울",
            "answers": ["서울"],
        }
    ]


def test_rows_keep_the_order_of_the_file(tmp_path):
    file = squad(asked("q2"), asked("q1"))
    file["data"] += squad(asked("q0"), title="강")["data"]
    assert [(row["id"], row["title"]) for row in read(tmp_path, file)] == [("q2", "한강"), ("q1", "한강"), ("q0", "강")]


def test_spaces_around_questions_and_answers_are_removed_and_the_contexts_stay(tmp_path):
    (row,) = read(tmp_path, squad(asked(question=" 어디를 \n", answers=[(" 서울", 3)]), context=f"{CONTEXT} "))
    assert (row["question"], row["answer"], row["context"]) == ("어디를", "서울", f"{CONTEXT} ")


def test_every_answer_of_a_squad_question_is_kept_and_the_first_is_the_answer(tmp_path):
    (row,) = read(tmp_path, squad(asked(answers=[("494 km", 17), ("494", 17), ("서울", 4), ("494", 17)])))
    assert (row["answer"], row["answers"]) == ("494 km", ["494 km", "494", "서울", "494"])


@pytest.mark.parametrize(("text", "start"), [("서울", 3), ("서울", 5), ("서울", 400), ("부산", 4), ("서울", -1)])
def test_an_answer_off_its_offset_is_named(tmp_path, text, start):
    assert refusal(tmp_path, squad(asked("q1"), asked("q7", answers=[("서울", 4), (text, start)]))) == (
        f"HERE/a.json, article 0: question q7: the answer '{text}' is not at character {start}\n"
        "  Fix: the file is damaged: fetch it again"
    )


@pytest.mark.parametrize(
    "key", ["paragraphs", "context", "qas", "id", "question", "answers", "text", "answer_start", "title"]
)
def test_a_missing_key_is_named_with_its_article(tmp_path, key):
    file = squad(asked())
    file["data"] += json.loads(json.dumps(squad(asked())["data"]).replace(f'"{key}":', '"renamed":'))
    said = refusal(tmp_path, file)
    assert said.startswith("HERE/a.json, article 1: ") and f"lacks '{key}'\n  Fix: " in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a,b\n", "Expecting value: line 1 column 1 (char 0)"),
        (b"", "Expecting value: line 1 column 1 (char 0)"),
        (b'{"data": [', "Expecting value: line 1 column 11 (char 10)"),
        ({}, "'data'"),
        ([], "list indices must be integers or slices, not str"),
    ],
)
def test_another_kind_of_file_is_refused(tmp_path, content, said):
    assert refusal(tmp_path, content) == (
        f"HERE/a.json is not a KorQuAD or SQuAD v1 file: {said}\n"
        '  Fix: such a file is {"version": ..., "data": [...]}'
    )


def test_the_real_file_is_whole():
    if not VISIBLE.exists():
        pytest.skip(f"no {VISIBLE}: the shared test data is not on this machine")
    rows = list(korquad.rows(korquad.Spec(source="korquad", file=VISIBLE.name), VISIBLE.parent))
    assert len(rows) == len({row["id"] for row in rows}) == 2755
    assert len({row["title"] for row in rows}) == 62
    assert all(answer in row["context"] for row in rows for answer in row["answers"])
    assert all(text and text == text.strip() for row in rows for text in (row["question"], row["answer"]))


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A loopback web site that has the official file; hft's folders are empty."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        log_message = print

    file = tmp_path / "site" / OFFICIAL
    file.parent.mkdir()
    file.write_text(json.dumps(squad(asked())))
    with http.server.HTTPServer(("127.0.0.1", 0), partial(Handler, directory=file.parent)) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        monkeypatch.setenv("no_proxy", "*")
        monkeypatch.setenv("HFT_KORQUAD_ADDRESS", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("HFT_DATA", str(tmp_path / "data"))
        monkeypatch.setitem(korquad.CHECKSUMS, OFFICIAL, hashlib.sha256(file.read_bytes()).hexdigest())
        yield file
        server.shutdown()


def test_the_official_file_is_fetched_once(site, tmp_path):
    source = korquad.Spec(source="korquad", file=OFFICIAL)
    assert [row["id"] for row in korquad.rows(source, tmp_path)] == ["q1"]
    assert [path.name for path in (tmp_path / "data").glob("[!.]*")] == [OFFICIAL]
    site.unlink()
    assert [row["id"] for row in korquad.rows(source, tmp_path)] == ["q1"]


def test_an_official_file_beside_the_recipe_is_not_fetched(site, tmp_path):
    (tmp_path / OFFICIAL).write_text(json.dumps(squad(asked("mine"))))
    assert [row["id"] for row in korquad.rows(korquad.Spec(source="korquad", file=OFFICIAL), tmp_path)] == ["mine"]
    assert not (tmp_path / "data").exists()


def test_another_file_under_the_official_name_is_refused(site, tmp_path):
    site.write_text("{}")
    with pytest.raises(HftError, match="is not the file that hft knows"):
        list(korquad.rows(korquad.Spec(source="korquad", file=OFFICIAL), tmp_path))
    assert list((tmp_path / "data").glob("[!.]*")) == []


DEFECTS = [
    ("a file in CP949", json.dumps(squad(asked()), ensure_ascii=False).encode("cp949"), "HERE/a.json"),
    ("data: null", {"data": None}, "HERE/a.json is not a KorQuAD or SQuAD v1 file"),
    (
        "a question without its key",
        squad(asked("q7") | {"answers": [{"text": "서울"}]}),
        "HERE/a.json, article 0: question q7: ",
    ),
    ("SQuAD 2's question without an answer", squad(asked("q7", answers=[])), "HERE/a.json, article 0: question q7: "),
    ("an offset in quotes", squad(asked("q7", answers=[("서울", "4")])), "HERE/a.json, article 0: question q7: "),
]


@pytest.mark.parametrize(("what", "content", "start"), DEFECTS, ids=[what for what, *_ in DEFECTS])
def test_what_is_damaged_is_named_down_to_the_question(tmp_path, what, content, start):
    assert refusal(tmp_path, content).startswith(start)
