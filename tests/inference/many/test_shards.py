from srtod.inference.many.shards import Plan, digest, missing, shard_file
from srtod.support.files import write_text


def test_shards_with_errors_are_missing_unless_these_are_left_out(tmp_path):
    plan = Plan.of(["a.png", "b.png", "c.png"], shard_size=1, asked={})
    write_text(shard_file(tmp_path, 0), '{"image_id": 1, "detections": []}\n')
    write_text(shard_file(tmp_path, 1), '{"image_id": 2, "error": "b.png: the network is down"}\n')
    assert missing(plan, tmp_path, skip_bad=False) == [1, 2]
    assert missing(plan, tmp_path, skip_bad=True) == [2]


def test_the_weights_beside_an_openvino_file_tell_it_from_others(tmp_path):
    path = tmp_path / "a.xml"
    path.write_text("operators")
    found = []
    for weights in ("first", "second"):
        path.with_suffix(".bin").write_text(weights)
        found.append(digest(path))
    assert found[0] != found[1]
