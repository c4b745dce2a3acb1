import pytest
from PIL import Image

from srtod.inference.jobs.listing import list_images, local_copy
from srtod.inference.jobs.shards import listed
from srtod.support.errors import InputError


@pytest.fixture
def folder(tmp_path):
    for name in ("day/a.png", "day/b.png", "night/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    (tmp_path / "day" / "notes.md").touch()
    return tmp_path


def test_folders_manifests_and_prefixes_list_images_once(folder):
    (folder / "list.txt").write_text("day/b.png\n\nfile:///elsewhere/c.png\nnight/a.png\n")
    found = list_images([str(folder / "list.txt"), str(folder / "day")])
    assert found == (
        str(folder / "day" / "b.png"),
        "file:///elsewhere/c.png",
        str(folder / "night" / "a.png"),
        str(folder / "day" / "a.png"),
    )
    under = list_images([f"file://{folder}"])
    assert under == tuple(f"file://{folder}/{name}" for name in ("day/a.png", "day/b.png", "night/a.png"))


def test_what_is_not_there_is_one_line(folder):
    (folder / "list.txt").write_text("day/c.png\n")
    with pytest.raises(InputError, match=r"list.txt: day/c.png: no such image"):
        list_images([str(folder / "list.txt")])
    (folder / "empty.txt").write_text("\n")
    with pytest.raises(InputError, match=r"empty.txt: no images in this list"):
        list_images([str(folder / "empty.txt")])
    with pytest.raises(InputError, match=r"file://.*/none: no images there"):
        list_images([f"file://{folder}/none"])
    with pytest.raises(InputError, match=r"nostore://bucket/a: cannot be read"):
        list_images(["nostore://bucket/a"])


def test_an_image_elsewhere_is_fetched_and_removed_again(folder):
    with local_copy(f"file://{folder}/day/a.png") as path:
        assert path.read_bytes() == (folder / "day" / "a.png").read_bytes()
        assert path != folder / "day" / "a.png"
    assert not path.exists()
    with local_copy(str(folder / "day" / "a.png")) as path:
        assert path == folder / "day" / "a.png"
    with pytest.raises(InputError, match=r"c.png: cannot be read"), local_copy(f"file://{folder}/c.png"):
        pass


def test_names_leave_out_the_folders_that_all_share():
    images = listed(["s3://b/x/day/a.png", "s3://b/x/night/a.png"])
    assert [(image.file_name, image.image_id) for image in images] == [("day/a.png", 1), ("night/a.png", 2)]
