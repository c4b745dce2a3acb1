"""Videos: what is decoded, what is written, and what remains when something breaks."""

import json
import sys
from fractions import Fraction
from itertools import islice

import av
import numpy as np
import pytest

from srtod.inference.jobs import JobOptions, predict_videos
from srtod.inference.slices import Slicing
from srtod.inference.video import decoding
from srtod.inference.video.decoding import upright
from srtod.inference.video.encoding import video_file
from srtod.inference.video.sources import Video, collect_videos
from srtod.inference.video.tracking import Tracks
from srtod.support.errors import InputError, SrtodError

RATE = 10


def squares(index):
    """Where two bright squares are in a frame: they move to the right, 9 and 3 pixels a frame."""
    return [(4 + 9 * index, 10, 12 + 9 * index, 18), (4 + 3 * index, 40, 12 + 3 * index, 48)]


def write(path, frames=12, codec="libx264", shape=(64, 128)):
    """A video of the squares."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE)
        stream.height, stream.width, stream.pix_fmt = *shape, "yuv420p"
        for index in range(frames):
            pixels = np.full((*shape, 3), 20, np.uint8)
            for left, top, right, bottom in squares(index):
                pixels[top:bottom, left:right] = 240
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def video(path, *, live=False):
    return Video(str(path), path.stem, live)


@pytest.fixture
def finds_squares():
    """Finds what is bright, the lower one first and surer."""
    import torch

    class FindsSquares:
        classes = ("square",)
        device = torch.device("cpu")
        fails_after = None

        def __init__(self):
            self.frames = 0

        def __call__(self, images):
            return [self._find(image) for image in images]

        def _find(self, image):
            self.frames += 1
            if self.frames == self.fails_after:
                raise KeyboardInterrupt
            boxes = []
            for top in (30, 0):
                rows, columns = (image.mean(0)[top : top + 30] > 0.5).nonzero().T
                if len(rows):
                    sides = [columns.min(), rows.min() + top, columns.max() + 1, rows.max() + 1 + top]
                    boxes.append([float(side) for side in sides])
            count = len(boxes)
            return {
                "boxes": torch.tensor(boxes).reshape(-1, 4),
                "scores": torch.tensor([0.9, 0.8])[:count],
                "labels": torch.zeros(count, dtype=torch.long),
            }

    return FindsSquares()


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def listed(folder):
    return sorted(path.name for path in folder.iterdir())


def frame_count(path):
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_line_a_frame_and_an_annotated_video(tmp_path, finds_squares):
    path, out = write(tmp_path / "a.mp4"), tmp_path / "out"
    done = predict_videos(finds_squares, [video(path)], out)
    assert (done.videos, done.frames, done.detections, done.notes) == (1, 12, 24, ())
    told = lines(out / "a.jsonl")
    assert [line["frame"] for line in told] == list(range(12))
    assert [line["time"] for line in told] == pytest.approx([index / RATE for index in range(12)])
    for index, line in enumerate(told):
        expected = sorted((x, y, x2 - x, y2 - y) for x, y, x2, y2 in squares(index))
        assert np.abs(np.array(sorted(d["bbox"] for d in line["detections"])) - expected).max() <= 1
    assert told[0]["detections"][0].keys() == {"bbox", "score", "category_id", "category_name"}
    assert told[0]["detections"][0]["category_name"] == "square"
    with av.open(str(out / "a.mp4")) as annotated:
        assert annotated.streams.video[0].average_rate == RATE
        pixels = next(annotated.decode(video=0)).to_ndarray(format="rgb24").astype(int)
    assert frame_count(out / "a.mp4") == 12
    assert pixels.shape == (64, 128, 3)
    assert (pixels[38, 3:13, 0] - pixels[38, 3:13, 2] > 60).all()  # an orange line above the lower square


def test_frames_are_passed_over_and_times_stay(tmp_path, finds_squares):
    path = write(tmp_path / "a.mp4")
    predict_videos(finds_squares, [video(path)], tmp_path / "out", JobOptions(every=5))
    told = lines(tmp_path / "out" / "a.jsonl")
    assert [(line["frame"], line["time"]) for line in told] == [(0, 0.0), (5, 0.5), (10, 1.0)]
    assert finds_squares.frames == 3
    with av.open(str(tmp_path / "out" / "a.mp4")) as annotated:
        assert annotated.duration / av.time_base == pytest.approx(1.2)  # as the source


@pytest.mark.parametrize("setting", [JobOptions(batch_size=5), JobOptions(slicing=Slicing(64, 0.25))])
def test_batches_and_slices_find_the_same(tmp_path, finds_squares, setting):
    path = write(tmp_path / "a.mp4")
    predict_videos(finds_squares, [video(path)], tmp_path / "one")
    predict_videos(finds_squares, [video(path)], tmp_path / "two", setting)
    one, two = (
        [sorted(d["bbox"] for d in line["detections"]) for line in lines(tmp_path / name / "a.jsonl")]
        for name in ("one", "two")
    )
    assert one == two and len(one) == 12


def test_without_pictures_only_lines_are_written(tmp_path, finds_squares):
    path = write(tmp_path / "a.mp4")
    predict_videos(finds_squares, [video(path)], tmp_path / "out", JobOptions(pictures=False))
    assert listed(tmp_path / "out") == ["a.jsonl", "job.json"]


def test_tracks_follow_objects_that_move_by_more_than_their_size(tmp_path, finds_squares):
    path = write(tmp_path / "a.mp4")
    predict_videos(finds_squares, [video(path)], tmp_path / "out", JobOptions(track=True))
    told = lines(tmp_path / "out" / "a.jsonl")
    for lower in (False, True):
        tracks = [
            detection["track_id"]
            for line in told
            for detection in line["detections"]
            if (detection["bbox"][1] > 30) == lower
        ]
        assert tracks[0] is None
        assert len(set(tracks[1:])) == 1 and tracks[1] in (1, 2)


def test_classes_have_tracks_of_their_own():
    tracks = Tracks(Fraction(10), min_score=0.3)
    box, told = np.array([[10, 10, 18, 18]], np.float32), []
    for label in (0, 0, 1, 1, 0):
        told += tracks.number(box, np.array([0.9], np.float32), np.array([label]))
    assert told == [None, 1, None, 2, 1]
    assert tracks.number(box[:0], np.zeros(0, np.float32), np.zeros(0, np.int64)) == []


def test_weak_detections_begin_no_track_and_go_on_with_one():
    tracks = Tracks(Fraction(10), min_score=0.3)
    box, label = np.array([[10, 10, 18, 18]], np.float32), np.array([0])
    told = [tracks.number(box, np.array([s], np.float32), label)[0] for s in (0.2, 0.2, 0.5, 0.5, 0.2)]
    assert told == [None, None, None, 1, 1]


def test_ctrl_c_keeps_the_lines_and_no_half_video(tmp_path, finds_squares):
    finds_squares.fails_after = 5
    with pytest.raises(KeyboardInterrupt):
        predict_videos(finds_squares, [video(write(tmp_path / "a.mp4"))], tmp_path / "out")
    assert listed(tmp_path / "out") == ["a.jsonl", "job.json"]
    assert [line["frame"] for line in lines(tmp_path / "out" / "a.jsonl")] == [0, 1, 2, 3]


def test_ctrl_c_is_the_end_of_a_stream(tmp_path, finds_squares):
    finds_squares.fails_after = 5
    done = predict_videos(finds_squares, [video(write(tmp_path / "a.mp4"), live=True)], tmp_path / "out")
    assert done.frames == 4 and "stopped after 4 frames" in done.notes[0]
    assert frame_count(tmp_path / "out" / "a.mp4") == 4


class Breaking:
    """A container whose connection is lost after some packets."""

    def __init__(self, container, packets):
        self._container, self._packets = container, packets

    def __getattr__(self, name):
        return getattr(self._container, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._container.close()

    def demux(self, stream):
        yield from islice(self._container.demux(stream), self._packets)
        raise av.error.ConnectionResetError(104, "Connection reset by peer")


@pytest.fixture
def connection_lost(monkeypatch):
    """Lets the connection to a place be lost after 6 packets."""
    opened = av.open

    def lose(path):
        def open_breaking(name, *args, **options):
            container = opened(name, *args, **options)
            return Breaking(container, 6) if name == str(path) else container

        monkeypatch.setattr(av, "open", open_breaking)

    return lose


def test_a_stream_that_breaks_keeps_what_was_found(tmp_path, finds_squares, connection_lost):
    path = write(tmp_path / "a.mkv", codec="mpeg4")
    connection_lost(path)
    with pytest.raises(
        SrtodError, match=r"a\.mkv: the stream broke: .*; \d frames are in .*a\.jsonl"
    ) as error:
        predict_videos(finds_squares, [video(path, live=True)], tmp_path / "out")
    assert error.value.exit_code == 1
    kept = len(lines(tmp_path / "out" / "a.jsonl"))
    assert 0 < kept <= 6
    assert frame_count(tmp_path / "out" / "a.mp4") == kept


def test_a_file_that_breaks_keeps_its_lines(tmp_path, finds_squares, connection_lost):
    path = write(tmp_path / "a.mkv", codec="mpeg4")
    connection_lost(path)
    with pytest.raises(InputError, match=r"a\.mkv: damaged: .*; \d frames are in .*a\.jsonl"):
        predict_videos(finds_squares, [video(path)], tmp_path / "out")
    assert listed(tmp_path / "out") == ["a.jsonl", "job.json"]
    done = predict_videos(finds_squares, [video(path)], tmp_path / "again", JobOptions(skip_bad=True))
    assert done.videos == 0 and done.notes[0].startswith("left out: ")


def test_a_stream_that_ends_says_so(tmp_path, finds_squares):
    path = write(tmp_path / "a.mkv", codec="mpeg4")
    done = predict_videos(finds_squares, [video(path, live=True)], tmp_path / "out")
    assert done.frames == 12 and done.notes == (f"{path}: the stream ended after 12 frames",)


def test_a_file_that_is_cut_short_says_so(tmp_path, finds_squares):
    path = write(tmp_path / "a.mkv", frames=100, codec="mpeg4")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    done = predict_videos(finds_squares, [video(path)], tmp_path / "out")
    assert 10 < done.frames < 95
    assert f"ends after {done.frames} of about 100 frames" in done.notes[-1]
    assert frame_count(tmp_path / "out" / "a.mp4") == done.frames


class DamagedPacket:
    """A packet that cannot be decoded."""

    def decode(self):
        raise av.error.InvalidDataError(1, "Invalid data found")


class Damaged(Breaking):
    """A container some of whose packets are damaged."""

    def demux(self, stream):
        for index, packet in enumerate(self._container.demux(stream)):
            yield DamagedPacket() if index in self._packets else packet


@pytest.fixture
def damaged(monkeypatch):
    """Damages packets of a video at a place."""
    opened = av.open

    def damage(path, packets):
        def open_damaged(name, *args, **options):
            container = opened(name, *args, **options)
            return Damaged(container, packets) if name == str(path) else container

        monkeypatch.setattr(av, "open", open_damaged)

    return damage


def test_damaged_packets_are_passed_over_and_counted(tmp_path, finds_squares, damaged):
    path = write(tmp_path / "a.avi", frames=60, codec="mpeg4")
    damaged(path, {20, 21, 40})
    done = predict_videos(finds_squares, [video(path)], tmp_path / "out")
    assert done.frames == 57 and done.notes == (f"{path}: 3 damaged packets were passed over",)


def test_too_many_damaged_packets_in_a_row_end_the_video(tmp_path, finds_squares, damaged, monkeypatch):
    monkeypatch.setattr(decoding, "MOST_DAMAGED", 10)
    path = write(tmp_path / "a.avi", frames=60, codec="mpeg4")
    damaged(path, set(range(40, 50)))
    with pytest.raises(
        InputError, match=r"a\.avi: damaged: Invalid data found; replace it; \d+ frames are in"
    ):
        predict_videos(finds_squares, [video(path)], tmp_path / "out")
    assert listed(tmp_path / "out") == ["a.jsonl", "job.json"]


def test_as_many_damaged_packets_with_a_sound_one_between_do_not(
    tmp_path, finds_squares, damaged, monkeypatch
):
    monkeypatch.setattr(decoding, "MOST_DAMAGED", 10)
    path = write(tmp_path / "a.avi", frames=60, codec="mpeg4")
    damaged(path, set(range(30, 49)) - {39})
    done = predict_videos(finds_squares, [video(path)], tmp_path / "out")
    assert done.frames == 42 and f"{path}: 18 damaged packets were passed over" in done.notes


@pytest.mark.parametrize("live", [True, False])
def test_a_video_without_a_frame_leaves_nothing(tmp_path, finds_squares, damaged, live):
    path = write(tmp_path / "a.avi", frames=12, codec="mpeg4")
    damaged(path, set(range(12)))
    with pytest.raises(InputError, match="holds no frame that can be decoded"):
        predict_videos(finds_squares, [video(path, live=live)], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_notes_are_told_although_a_later_video_fails(tmp_path, finds_squares, damaged, capsys):
    path = write(tmp_path / "a.avi", frames=60, codec="mpeg4")
    damaged(path, {20})
    (tmp_path / "b.mp4").write_bytes(b"words")
    with pytest.raises(InputError, match=r"b\.mp4: not a video"):
        predict_videos(finds_squares, [video(path), video(tmp_path / "b.mp4")], tmp_path / "out")
    assert capsys.readouterr().err.count("1 damaged packets were passed over") == 1


def test_a_name_with_a_colon_is_no_protocol(tmp_path, finds_squares, monkeypatch):
    write(tmp_path / "a.mp4").rename(tmp_path / "12:30:00.mp4")
    monkeypatch.chdir(tmp_path)
    done = predict_videos(finds_squares, collect_videos(["12:30:00.mp4"]), tmp_path / "out")
    assert done.frames == 12 and frame_count(tmp_path / "out" / "12:30:00.mp4") == 12


def sound(path):
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b"words" * 100), "not a video that can be read: Invalid data"),
        (lambda path: path.write_bytes(b""), "not a video that can be read"),
        (lambda path: None, "not a video that can be read: No such file"),
        (sound, "holds no pictures"),
        (lambda path: path.write_bytes(write(path).read_bytes()[:1000]), "not a video that can be read"),
    ],
)
def test_what_is_no_video_is_told_and_leaves_nothing(tmp_path, finds_squares, make, message):
    path = tmp_path / "a.mp4"
    make(path)
    with pytest.raises(InputError) as error:
        predict_videos(finds_squares, [video(path)], tmp_path / "out")
    assert str(error.value).startswith(f"{path}: {message}") and "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_stream_that_is_not_there_hides_the_password(tmp_path, finds_squares):
    (stream,) = collect_videos(["rtsp://me:secret@127.0.0.1:9/door"])
    with pytest.raises(InputError) as error:
        predict_videos(finds_squares, [stream], tmp_path / "out")
    assert "rtsp://***@127.0.0.1:9/door: cannot be reached" in str(error.value)
    assert "secret" not in str(error.value)


def test_odd_sizes_are_filled_up(tmp_path):
    with video_file(tmp_path / "a.mp4", Fraction(10), (65, 49), lambda: 0.3) as add:
        for index in range(3):
            add(np.zeros((49, 65, 3), np.uint8), index / 10)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (66, 50)


def timed(path, times, *, size=(64, 48), cover="", codec="libx264"):
    """A video whose frames have these times, and beside it a cover picture: before, after or attached."""
    with av.open(str(path), "w") as container:
        order = ["video", *(["cover"] if cover else [])]
        streams = {}
        for kind in reversed(order) if cover in ("before", "attached") else order:
            streams[kind] = container.add_stream(codec if kind == "video" else "mjpeg", rate=RATE)
            width, height = size if kind == "video" else (384, 216)
            streams[kind].width, streams[kind].height = width, height
            streams[kind].pix_fmt = "yuv420p" if kind == "video" else "yuvj420p"
        streams["video"].codec_context.time_base = Fraction(1, 1000)
        if cover == "attached":
            streams["cover"].disposition = av.stream.Disposition.attached_pic
        for kind, shown in (("cover", [0.0] if cover else []), ("video", times)):
            for time in shown:
                pixels = np.zeros((streams[kind].height, streams[kind].width, 3), np.uint8)
                frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
                frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
                container.mux(streams[kind].encode(frame))
            if shown:
                container.mux(streams[kind].encode())
    return path


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
@pytest.mark.parametrize("cover", ["before", "after", "attached"])
def test_a_cover_picture_is_not_the_video(tmp_path, finds_squares, cover, ending):
    path = timed(tmp_path / f"a.{ending}", [index / RATE for index in range(8)], cover=cover)
    done = predict_videos(finds_squares, [video(path)], tmp_path / "out", JobOptions(pictures=False))
    assert (done.frames, done.notes) == (8, ())


def test_of_several_videos_in_a_file_the_largest_is_taken_and_said(tmp_path, finds_squares):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        streams = [container.add_stream("libx264", rate=RATE) for _ in range(2)]
        for stream, (width, height) in zip(streams, ((64, 48), (128, 96)), strict=True):
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for _ in range(6):
            for stream in streams:
                pixels = np.zeros((stream.height, stream.width, 3), np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        for stream in streams:
            container.mux(stream.encode())
    done = predict_videos(finds_squares, [video(tmp_path / "a.mkv")], tmp_path / "out")
    assert done.frames == 6 and "has 2 streams of pictures; the one of 128 x 96 pixels" in done.notes[0]


def told_times(folder):
    return [line["time"] for line in lines(folder / "a.jsonl")]


def duration(path):
    """Seconds from the beginning of a video to the end of its last frame."""
    with av.open(str(path)) as container:
        return float(container.duration) / av.time_base


@pytest.mark.parametrize("every", [1, 3])
def test_an_annotated_video_lasts_as_long_as_its_source(tmp_path, finds_squares, every):
    times = [0.0, 0.1, 0.2, 0.9, 1.0, 1.1, 2.5, 2.6, 2.7]
    path = timed(tmp_path / "a.mp4", times)
    predict_videos(finds_squares, [video(path)], tmp_path / "out", JobOptions(every=every))
    assert told_times(tmp_path / "out") == pytest.approx(times[::every])
    with av.open(str(tmp_path / "out" / "a.mp4")) as annotated:
        shown = [float(frame.time) for frame in annotated.decode(video=0)]
    assert shown == pytest.approx(times[::every], abs=0.002)
    assert duration(tmp_path / "out" / "a.mp4") == pytest.approx(duration(path), abs=0.25)


def test_times_begin_at_0(tmp_path, finds_squares):
    path = timed(tmp_path / "a.mkv", [5.0, 5.1, 5.2])
    predict_videos(finds_squares, [video(path)], tmp_path / "out")
    assert told_times(tmp_path / "out") == pytest.approx([0, 0.1, 0.2])


def test_times_go_on_where_the_clock_jumps_back():
    clock = decoding._Clock(Fraction(1, 10))
    told = [3.0, 3.1, None, 3.3, 0.0, 0.1, None, 0.4]
    assert list(map(clock.tell, told)) == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8])


def test_videos_that_follow_one_another_in_a_file_are_one(tmp_path, finds_squares):
    parts = [
        timed(tmp_path / f"{name}.ts", [0.0, 0.1, 0.2], size=size)
        for name, size in (("x", (64, 48)), ("y", (128, 96)))
    ]
    (tmp_path / "a.ts").write_bytes(b"".join(part.read_bytes() for part in parts))
    predict_videos(finds_squares, [video(tmp_path / "a.ts")], tmp_path / "out")
    times = told_times(tmp_path / "out")
    assert len(times) == 6 and times[0] == 0 and times == sorted(set(times))


def test_a_pointer_of_git_lfs_is_named(tmp_path, finds_squares):
    (tmp_path / "a.mp4").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(InputError, match=r"a\.mp4: a pointer of Git LFS, not the file itself"):
        predict_videos(finds_squares, [video(tmp_path / "a.mp4")], tmp_path / "out")


def test_frames_are_turned_upright():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert (upright(pixels, 0) == pixels).all()
    assert (upright(pixels, 90)[-1, 0] == pixels[0, 0]).all()
    assert (upright(pixels, -90)[0, -1] == pixels[0, 0]).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "every: input should be greater than or equal to 1, not 0"),
        ({"everi": 2}, "did you mean 'every'"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        JobOptions.of(**options)


@pytest.mark.parametrize(("package", "extra"), [("av", "video"), ("trackers", "tracking")])
def test_a_missing_package_is_named(tmp_path, finds_squares, monkeypatch, package, extra):
    path = write(tmp_path / "a.mp4")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"{package} is not installed; run 'uv sync --extra {extra}'"):
        predict_videos(finds_squares, [video(path)], tmp_path / "out", JobOptions(track=True))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("tracked", [False, True])
def test_a_video_is_gone_on_with_where_it_stopped(tmp_path, finds_squares, tracked):
    videos = [video(write(tmp_path / "a.mp4")), video(write(tmp_path / "b.mp4"))]
    out, whole = tmp_path / "out", tmp_path / "whole"
    predict_videos(finds_squares, videos, whole, JobOptions(track=tracked))
    finds_squares.frames, finds_squares.fails_after = 0, 18
    with pytest.raises(KeyboardInterrupt):
        predict_videos(finds_squares, videos, out, JobOptions(track=tracked))
    assert listed(out) == ["a.jsonl", "a.mp4", "b.jsonl", "job.json", "log"]
    with (out / "b.jsonl").open("a") as stream:
        stream.write('{"frame": 5, "ti')  # as a kill may leave it
    finds_squares.frames, finds_squares.fails_after = 0, None
    done = predict_videos(finds_squares, videos, out, JobOptions(track=tracked, resume=True))
    assert finds_squares.frames == 7
    assert (done.videos, done.frames, done.detections) == (2, 24, 48)
    assert listed(out) == listed(whole)
    for name in ("a.jsonl", "b.jsonl"):
        assert (out / name).read_bytes() == (whole / name).read_bytes()
    assert frame_count(out / "b.mp4") == 12
    again = predict_videos(finds_squares, videos, out, JobOptions(track=tracked, resume=True))
    assert finds_squares.frames == 7 and again.frames == 24


def test_a_stream_is_not_gone_on_with(tmp_path, finds_squares, connection_lost):
    path, out = write(tmp_path / "a.mkv", codec="mpeg4"), tmp_path / "out"
    finds_squares.fails_after = 5
    with pytest.raises(KeyboardInterrupt):
        predict_videos(finds_squares, [video(path)], out)
    finds_squares.fails_after = None
    with pytest.raises(InputError, match="a stream cannot be gone on with"):
        predict_videos(finds_squares, [video(path, live=True)], out, JobOptions(resume=True))
