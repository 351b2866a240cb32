import pytest

from banditroute.datasets import load

OURS = "weighted_alpaca_eval_gpt4_turbo"


def annotation(model, instruction, preference, annotator=OURS):
    return {
        "instruction": instruction,
        "output_1": "…",
        "generator_1": "gpt4_1106_preview",
        "dataset": "koala",
        "output_2": "…",
        "generator_2": model,
        "annotator": annotator,
        "preference": preference,
        "price_per_example": 0.015,
        "time_per_example": 1.28,
    }


@pytest.fixture
def results(document, tmp_path):
    def put(model, preferences, annotator=OURS):
        annotations = [annotation(model, *each, annotator) for each in preferences]
        return document(f"results/{model}/{annotator}/annotations.json", annotations)

    put("one", [("a", 1.0), ("b", 1.75), ("c", 2.0), ("same", 1.0), ("same", 2.0)])
    put("two", [("b", 2.0), ("a", 0), ("same", 1.5), ("c", None), ("same", 1.25)])
    return put


def test_the_preference_for_every_model_is_its_quality(results, tmp_path):
    data = load(tmp_path / "results")
    assert data.arms == ("one", "two")
    assert data.prompts == ("a", "b", "same", "same")
    assert data.tasks == ("koala",) * 4
    assert data.quality.tolist() == [[0, 0.5], [0.75, 1], [0, 0.5], [1, 0.25]]
    assert data.cost_usd is None  # the price is the judge's
    assert data.latency_s is None


def test_of_several_annotators_those_of_alpacaeval_2_count(results, tmp_path):
    results("one", [("a", 2.0)], "alpaca_eval_gpt4")
    assert load(tmp_path / "results").quality[0].tolist() == [0, 0.5]


def test_other_annotators_must_be_one(results, tmp_path, complaint):
    for annotator in ("mine", "yours"):
        results("three", [("a", 2.0)], annotator)
    said = "needs annotations of one annotator; it has those of mine, yours"
    assert said in complaint(tmp_path / "results/three")
    assert load(tmp_path / "results/three/mine").quality.tolist() == [[1]]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"preference": 3}, "key preference, row 1 is 3; AlpacaEval's is between 1 and 2"),
        ({"preference": 0.5}, "key preference, row 1 is 0.5; AlpacaEval's is between 1 and 2"),
        ({"preference": "m"}, "key preference, row 1 is a str; it must be a number"),
        ({"instruction": None}, "key instruction, row 1 is None; every row needs a text"),
        ({"generator_2": None}, "key generator_2, row 1 is None; every row needs a text"),
    ],
)
def test_a_malformed_annotation_is_refused_with_its_place(document, complaint, changed, said):
    good = annotation("m", "a", 1.0)
    path = document("annotations.json", [good, good | changed])
    assert f"{path}: {said}" in complaint(path)


def test_a_model_judged_in_two_files_is_refused(results, document, tmp_path, complaint):
    document("results/zero/annotations.json", [annotation("one", "b", 1.0)])
    message = complaint(tmp_path / "results")
    assert "zero/annotations.json: key preference, row 0 repeats the outcome of prompt" in message
    assert "arm 'one'" in message


def test_what_is_no_list_of_annotations_is_refused(document, tmp_path, complaint):
    path = document("annotations.json", {"instruction": "a"})
    assert f"{path}: a dict; it must be a list of objects" in complaint(path, "alpacaeval")
    path.write_text("[")
    assert "not JSON in UTF-8" in complaint(path, "alpacaeval")
    (tmp_path / "none").mkdir()
    assert "it has those of none" in complaint(tmp_path / "none", "alpacaeval")
