import pytest

from srtod.errors import InputError
from srtod.inference.video import collect_videos


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


def test_the_same_name_twice_is_numbered(tmp_path):
    for name in ("day/a.mp4", "night/a.mp4", "b.mp4"):
        touch(tmp_path / name)
    names = [video.name for video in collect_videos([tmp_path])]
    assert len(set(names)) == 3 and "b" in names


@pytest.mark.parametrize(
    ("address", "name", "shown"),
    [
        (
            "rtsp://me:secret@10.0.0.2:554/door/1?low=1",
            "10.0.0.2-554-door-1",
            "rtsp://***@10.0.0.2:554/door/1?low=1",
        ),
        ("RTMP://host/live", "host-live", "RTMP://host/live"),
        ("http://host/a.mp4", "host-a.mp4", "http://host/a.mp4"),
    ],
)
def test_streams_have_names_without_secrets(address, name, shown):
    (video,) = collect_videos([address])
    assert video.live and video.location == address
    assert (video.name, str(video)) == (name, shown)


def test_images_are_no_videos_and_do_not_go_with_them(tmp_path):
    image, clip = touch(tmp_path / "both" / "a.png"), touch(tmp_path / "both" / "a.mp4")
    assert collect_videos([image]) == []
    assert collect_videos([tmp_path / "none.mp4"]) == []
    for inputs in ([clip, image], [tmp_path / "both"]):
        with pytest.raises(InputError, match="images and videos are looked at one after the other"):
            collect_videos(inputs)
