import pytest

from srtod.inference.video.sources import collect_videos
from srtod.support.errors import InputError


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_folders_and_patterns_in_natural_order(tmp_path):
    for name in ("10.mp4", "2.MOV", "sub/1.mkv", "notes.txt"):
        touch(tmp_path / name)
    assert [video.name for video in collect_videos([tmp_path])] == ["2", "10", "1"]
    assert [video.name for video in collect_videos([str(tmp_path / "*.mp4")])] == ["10"]
    assert [video.name for video in collect_videos([tmp_path / "10.mp4", tmp_path / "10.mp4"])] == ["10"]
    assert not any(video.live for video in collect_videos([tmp_path]))


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["a/clip.mp4", "b/clip.mp4", "c/other.mp4"], ["clip", "clip-2", "other"]),
        (["a/clip-2.mp4", "b/clip.mp4", "c/clip.mp4"], ["clip-2", "clip", "clip-3"]),
        (["a/clip.mp4", "b/clip.mp4", "c/clip-2.mp4"], ["clip", "clip-2", "clip-2-2"]),
        (["a/clip.mp4", "b/Clip.mp4"], ["clip", "Clip-2"]),
    ],
)
def test_names_are_numbered_until_they_are_free(tmp_path, files, names):
    assert [video.name for video in collect_videos([touch(tmp_path / file) for file in files])] == names


@pytest.mark.parametrize(
    ("address", "name", "shown"),
    [
        (
            "rtsp://me:secret@10.0.0.2:554/door/1?low=1",
            "10.0.0.2-554-door-1",
            "rtsp://***@10.0.0.2:554/door/1",
        ),
        ("rtsp://me:p@ss@cam/door", "cam-door", "rtsp://***@cam/door"),
        ("rtsp://me:p?s#s@cam/door", "cam-door", "rtsp://***@cam/door"),
        ("http://cam/video?user=me&password=secret", "cam-video", "http://cam/video"),
        ("http://cam?password=secret", "cam", "http://cam"),
        ("RTMP://host/live", "host-live", "RTMP://host/live"),
        ("http://host/a.mp4", "host-a.mp4", "http://host/a.mp4"),
    ],
)
def test_streams_have_names_without_secrets(monkeypatch, address, name, shown):
    monkeypatch.setattr("srtod.inference.inputs.kind_at", lambda _: (None, False))
    (video,) = collect_videos([address])
    assert video.live and video.location == address
    assert (video.name, str(video)) == (name, shown)


def test_images_are_no_videos_and_what_is_missing_is_named(tmp_path):
    image, clip = touch(tmp_path / "both" / "a.png"), touch(tmp_path / "both" / "a.mp4")
    assert collect_videos([image]) == []
    for inputs in ([clip, image], [tmp_path / "both"], [str(tmp_path / "both" / "*")]):
        assert [video.location for video in collect_videos(inputs)] == [str(clip)]
    (tmp_path / "empty").mkdir()
    for missing in ("typo.mp4", "typo*.mp4"):
        with pytest.raises(InputError, match="no such file or folder, and no image or video matches it"):
            collect_videos([clip, tmp_path / missing])
    with pytest.raises(InputError, match="empty: no images or videos there; known endings: "):
        collect_videos([clip, tmp_path / "empty"])
