"""Very many images, on many machines: in shards, with Ray Data."""

from srtod.inference.many.engine import predict_many, predict_with_ray
from srtod.inference.many.listing import list_images

__all__ = ["list_images", "predict_many", "predict_with_ray"]
