import numpy as np
import pytest
from PIL import Image

from srtod.support.errors import InputError
from srtod.swarm.cutouts import read_cutouts, tint_of


@pytest.fixture
def folders(tmp_path):
    """Eight videos of three drone frames, four birds, eight photographs."""
    rng = np.random.default_rng(0)
    sprites, backgrounds = tmp_path / "sprites", tmp_path / "backgrounds"
    for index in range(8):
        for frame in range(3):
            sprite(sprites / f"V_DRONE_{index:03d}_{frame:04d}.png", level=index * 30)
    for index in range(4):
        sprite(sprites / "birds" / f"gull{'abcd'[index]}.png", level=255)
    backgrounds.mkdir()
    for index in range(8):
        pixels = rng.integers(0, 256, (90, 160, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(backgrounds / f"place{'abcdefgh'[index]}.jpg")
    return sprites, backgrounds


def sprite(path, *, level=40, size=(14, 9), alpha=255):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((size[1], size[0], 4), level, np.uint8)
    pixels[..., 3] = alpha
    Image.fromarray(pixels).save(path)
    return path


def both(folders, size=(64, 48)):
    return [read_cutouts(*folders, held_out=held_out, size=size) for held_out in (False, True)]


def test_held_out_files_are_others_and_frames_of_a_video_stay_together(folders):
    train, test = both(folders)
    assert not set(train.backgrounds) & set(test.backgrounds)
    assert (len(train.backgrounds), len(test.backgrounds)) == (6, 2)
    videos = [{image.getpixel((0, 0))[0] for image in part.drones} for part in (train, test)]
    assert not videos[0] & videos[1]
    assert (len(train.drones), len(test.drones)) == (18, 6)
    assert (len(train.others), len(test.others)) == (3, 1)


def test_the_parts_do_not_depend_on_the_folder_s_place(folders, tmp_path):
    moved = tmp_path / "elsewhere"
    folders[1].rename(moved)
    first = [path.name for path in read_cutouts(folders[0], moved, held_out=True, size=(64, 48)).backgrounds]
    moved.rename(folders[1])
    assert first == [path.name for path in both(folders)[1].backgrounds]


def test_birds_are_told_by_a_word_of_the_file_s_or_folder_s_name(folders):
    sprite(folders[0] / "V_BIRD_001_0001.png")
    sprite(folders[0] / "birdseye_1.png")
    train, test = both(folders)
    assert len(train.others) + len(test.others) == 5
    assert len(train.drones) + len(test.drones) == 25


def test_a_cut_out_is_premultiplied_lit_by_the_scene_and_large_enough(folders):
    rng = np.random.default_rng(0)
    source = both(folders)[0]
    scene = source.scene(rng, (64, 48))
    assert scene.image.shape == (48, 64, 3)
    assert 0 <= scene.image.min() <= scene.image.max() <= 1
    drawing = source.fleet(rng, scene)(rng, 10.0, drone=True)
    assert (drawing[..., :3] <= drawing[..., 3:] * 3).all()
    assert min(drawing.shape[:2]) >= 4 * 9


def test_dark_photographs_darken_the_cut_outs(folders):
    levels = {}
    for level in (10, 200):
        for path in folders[1].iterdir():
            Image.new("RGB", (160, 90), (level, level, level)).save(path)
        scene = both(folders)[0].scene(np.random.default_rng(0), (64, 48))
        levels[level] = tint_of(scene.image)
    assert (levels[10] < 0.2 * levels[200]).all()


def test_only_birds_are_refused(folders):
    for path in folders[0].glob("*.png"):
        path.unlink()
    with pytest.raises(InputError, match="add cut-outs of drones"):
        both(folders)


def test_one_photograph_serves_training_but_not_tests(folders):
    for path in sorted(folders[1].iterdir())[1:]:
        path.unlink()
    assert len(read_cutouts(*folders, held_out=False, size=(64, 48)).backgrounds) == 1
    with pytest.raises(InputError, match="only one file; give at least two"):
        read_cutouts(*folders, held_out=True, size=(64, 48))


def test_without_birds_there_are_none(folders):
    for path in (folders[0] / "birds").iterdir():
        path.unlink()
    source = both(folders)[0]
    fleet = source.fleet(np.random.default_rng(0), source.scene(np.random.default_rng(0), (64, 48)))
    assert fleet(np.random.default_rng(0), 8.0, drone=False) is None


def drawn(source, *, drone, seed=0):
    rng = np.random.default_rng(seed)
    return source.fleet(rng, source.scene(rng, (64, 48)))(rng, 10.0, drone=drone)


def test_clutter_takes_the_place_of_birds_and_never_that_of_drones(folders):
    birds, cluttered = (
        read_cutouts(*folders, held_out=False, size=(64, 48), clutter=share) for share in (0.0, 1.0)
    )
    white = 255  # the birds of the folder; drones are darker
    for seed in range(20):
        clutter = drawn(cluttered, drone=False, seed=seed)
        assert clutter.shape[2] == 4
        assert 0.5 < clutter[..., 3].max() <= 1
        assert min(clutter.shape[:2]) >= 8  # drawn larger than wanted
        assert clutter.shape != drawn(birds, drone=False, seed=seed).shape
    assert {image.getpixel((0, 0))[0] for image in cluttered.others} == {white}
    scene = birds.scene(np.random.default_rng(0), (64, 48))
    first, second = (
        source.fleet(np.random.default_rng(1), scene)(np.random.default_rng(2), 10.0, drone=True)
        for source in (birds, cluttered)
    )
    assert np.array_equal(first, second)


def test_clutter_is_dark_in_dark_photographs_but_lamps_are_not(folders):
    brightest = {}
    for level in (10, 200):
        for path in folders[1].iterdir():
            Image.new("RGB", (160, 90), (level, level, level)).save(path)
        source = read_cutouts(*folders, held_out=False, size=(64, 48), clutter=1.0)
        peaks = [float(drawn(source, drone=False, seed=seed)[..., :3].max()) for seed in range(40)]
        brightest[level] = sorted(peaks)
    assert brightest[10][0] < 0.2 * brightest[200][0]
    assert brightest[10][-1] == brightest[200][-1] > 1


def opaque(folder):
    Image.new("RGB", (9, 9)).save(folder / "V_DRONE_000_0000.png")


def empty(folder):
    sprite(folder / "V_DRONE_000_0000.png", alpha=0)


def broken(folder):
    (folder / "V_DRONE_000_0000.png").write_bytes(b"\x89PNG\r\n\x1a\n broken")


def truncated(folder):
    path = folder / "V_DRONE_000_0000.png"
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40, 4), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    path.write_bytes(path.read_bytes()[:2000])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (opaque, "has no transparency"),
        (empty, "fully transparent"),
        (broken, "not an image that can be read"),
        (truncated, "not an image that can be read"),
    ],
)
def test_bad_cut_outs_are_named(folders, damage, message):
    damage(folders[0])
    with pytest.raises(InputError, match=rf"V_DRONE_000_0000\.png: .*{message}"):
        both(folders)


@pytest.mark.parametrize("which", [0, 1])
def test_missing_and_empty_folders_are_named(folders, tmp_path, which):
    option = ("--sprites", "--backgrounds")[which]
    (tmp_path / "nothing").mkdir()
    for name, message in (("missing", "no such folder"), ("nothing", "holds no image files")):
        changed = [*folders]
        changed[which] = tmp_path / name
        with pytest.raises(InputError, match=f"{option} .*{name}: {message}"):
            both(changed)


def test_small_photographs_are_refused(folders):
    with pytest.raises(InputError, match=r"160 x 90 pixels is too small for images of 1920 x 1080"):
        both(folders, (1920, 1080))
