import numpy as np
import pytest

from banditroute.datasets import load


def record(index, score, **more):
    return {
        "index": index,
        "origin_query": f"question {index}",
        "prompt": f"Question: question {index}\nAnswer:",
        "prediction": "4",
        "ground_truth": "4",
        "score": score,
        "prompt_tokens": 15,
        "completion_tokens": 5,
        "cost": 0.001,
        "raw_output": "4",
    } | more


def result(model, scores, task="aime", **more):
    records = [record(number, score) for number, score in enumerate(scores, 1)]
    named = {"model_name": model, "dataset_name": task, "split": "test", "demo": False}
    return {"performance": 0.5, "counts": len(records)} | named | {"records": records} | more


@pytest.fixture
def bench(tmp_path, document):
    def put(task, model, content, written="20250101_000000"):
        name = f"results/bench/{task}/test/{model}/{task}-test-{model}-{written}.json"
        return document(name, content)

    put("aime", "m1", result("m1", [1.0, 0.0, 1.0]))
    put("aime", "m2", result("m2", [1.0, 1.0, None]))
    put("bbh", "m1", result("m1", [0.5], "bbh"))
    put("bbh", "m2", result("m2", [0.25], "bbh"))
    return put


def test_the_result_files_of_a_folder_are_joined(bench, tmp_path):
    data = load(tmp_path / "results")
    assert data.name == "results"
    assert data.arms == ("m1", "m2")
    assert data.prompt_ids == ("aime/test/1", "aime/test/2", "bbh/test/1")
    assert data.prompts == ("question 1", "question 2", "question 1")
    assert data.tasks == ("aime", "aime", "bbh")
    assert data.quality.tolist() == [[1, 1], [0, 1], [0.5, 0.25]]
    assert np.unique(data.cost_usd).tolist() == [0.001]
    assert np.unique(data.input_tokens).tolist() == [15]
    assert np.unique(data.output_tokens).tolist() == [5]


def test_of_one_task_alone_its_folder_is_named(bench, tmp_path):
    assert load(tmp_path / "results/bench/bbh").tasks == ("bbh",)


def test_the_newest_result_that_is_no_demo_counts(bench, tmp_path):
    bench("bbh", "m1", result("m1", [1.0], "bbh"), "20250301_000000")
    bench("bbh", "m1", result("m1", [0.0], "bbh"), "20250201_000000")
    bench("bbh", "m1", result("m1", [0.75], "bbh", demo=True), "20250401_000000")
    assert load(tmp_path / "results/bench/bbh").quality.tolist() == [[1.0, 0.25]]


def test_a_folder_of_demos_alone_has_no_outcome(document, tmp_path, complaint):
    document("demo/x.json", result("m1", [1.0], demo=True))
    assert "no arm at all" in complaint(tmp_path / "demo")


def test_a_prompt_of_messages_is_kept_as_json(document):
    messages = [{"role": "user", "content": "é"}]
    content = result("m1", [])
    content["records"] = [record(1, 1.0, origin_query="", prompt=messages)]
    data = load(document("one.json", content))
    assert data.prompts == ('[{"role": "user", "content": "é"}]',)


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (result("m1", [1.0, 60.0]), "x.json: key score, row 1 is 60; it must be between 0 and 1"),
        (result("m1", [1.0], records={}), "x.json: a dict; it must be a list of objects"),
        (result("m1", [1.0], records=[1]), "x.json: row 0 is 1; it must be an object"),
        (result("m1", [1.0], dataset_name=None), "x.json: key dataset_name, row 0 is None"),
        (result("m1", []) | {"records": [{"index": 1}]}, "key score, row 0 is missing; it has in"),
        (
            result("m1", []) | {"records": [record(1, 1.0, origin_query=None, prompt="")]},
            "key prompt, row 0 is empty, and so is origin_query",
        ),
        (
            result("m1", []) | {"records": [record(1, 1.0), record(1, 0.0)]},
            "x.json: key score, row 1 repeats the outcome of prompt 'aime/test/1' and arm 'm1'",
        ),
        (
            result("m1", []) | {"records": [record(1, 1.0, cost=-1)]},
            "x.json: key cost, row 0 is -1; it must be finite and not negative",
        ),
        ([], "x.json: not a result; it must be an object with records"),
        ({"model_name": "m"}, "x.json: key dataset_name, row 0 is missing; it has model_name"),
    ],
)
def test_a_malformed_result_is_refused_with_its_place(document, complaint, broken, said):
    assert said in complaint(document("x.json", broken), "llmrouterbench")


def test_what_is_no_json_is_refused(tmp_path, complaint):
    path = tmp_path / "x.json"
    path.write_bytes(b'{"records": [')
    assert f"{path}: not JSON in UTF-8; write or copy it again" in complaint(path)


QUERIES = [
    {
        "query": "one",
        "records": {"openai/gpt-5": 1.0, "qwen3": 0.5},
        "usages": {"openai/gpt-5": {"cost": 0.04}, "qwen3": {"cost": 0.01}},
        "dataset": "hle",
        "index": 0,
    },
    {"query": "two", "records": {"openai/gpt-5": 0.0, "qwen3": 1}, "dataset": "hle", "index": 1},
    {"query": "three", "records": {"openai/gpt-5": 0.0, "qwen3": None}, "usages": None},
]


def test_the_queries_of_avengers_pro_are_read(lines):
    data = load(lines("dataset.jsonl", QUERIES))
    assert data.arms == ("openai/gpt-5", "qwen3")
    assert data.prompts == ("one", "two")
    assert data.tasks == ("hle", "hle")
    assert data.quality.tolist() == [[1, 0.5], [0, 1]]
    np.testing.assert_array_equal(data.cost_usd, [[0.04, 0.01], [np.nan, np.nan]])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"records": {"m": 2}}, "key records.m, row 1 is 2; it must be between 0 and 1"),
        ({"records": [1]}, "key records, row 1 is a list; it must be an object"),
        ({"usages": {"m": 3}}, "key usages.m, row 1 is 3; it must be an object"),
        ({"usages": {"m": {"cost": -1}}}, "key usages.m.cost, row 1 is -1; it must be finite"),
        ({"query": None}, "key query, row 1 is None; every row needs a text"),
    ],
)
def test_a_malformed_query_is_refused_with_its_place(lines, complaint, changed, said):
    good = {"query": "one", "records": {"m": 1.0}, "usages": {}}
    path = lines("dataset.jsonl", [good, good | changed])
    assert f"{path}: {said}" in complaint(path)
