"""Long work: images, videos, or very many images in shards, into a folder that keeps what is finished."""

from srtod.inference.jobs.images import ImagesDone, predict_images
from srtod.inference.jobs.options import JobOptions
from srtod.inference.jobs.run import VIDEOS, run_job
from srtod.inference.jobs.shards import predict_shards
from srtod.inference.jobs.videos import VideosDone, predict_videos

__all__ = [
    "VIDEOS",
    "ImagesDone",
    "JobOptions",
    "VideosDone",
    "predict_images",
    "predict_shards",
    "predict_videos",
    "run_job",
]
