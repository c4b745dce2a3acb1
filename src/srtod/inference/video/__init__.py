"""Videos and streams: frames in; detections, tracks and annotated videos out."""

from srtod.inference.video.job import VideoDone, VideoSetting, predict_videos
from srtod.inference.video.sources import Video, collect_videos

__all__ = ["Video", "VideoDone", "VideoSetting", "collect_videos", "predict_videos"]
