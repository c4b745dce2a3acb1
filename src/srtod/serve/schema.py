"""What the routes answer, as they stand in the OpenAPI description."""

from pydantic import BaseModel, Field


class CocoImage(BaseModel):
    """The image that was sent."""

    id: int
    file_name: str
    width: int = Field(description="pixels")
    height: int = Field(description="pixels")


class CocoCategory(BaseModel):
    """A class that the detector knows."""

    id: int = Field(description="counted from 1")
    name: str


class CocoAnnotation(BaseModel):
    """One detection."""

    id: int
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float] = Field(description="x, y, width, height in pixels of the image")
    area: float = Field(description="of the box, in square pixels")
    iscrowd: int = 0
    score: float = Field(description="0 to 1")


class CocoDetections(BaseModel):
    """Detections of one image as a COCO file, best first."""

    images: list[CocoImage]
    categories: list[CocoCategory]
    annotations: list[CocoAnnotation]


class Layer(BaseModel):
    """A map, to be laid over the image."""

    name: str
    title: str
    text: str = Field(description="what it shows, in a sentence")
    url: str = Field(description="a PNG as data: address; its cells may be larger than pixels")
    reach: tuple[float, float] = Field(description="width and height that it covers, in pixels of the image")
    limits: tuple[float, float] = Field(description="values at both ends of the scale")
    colours: list[str] = Field(description="of the scale, from low to high; empty for a picture")


class Maps(BaseModel):
    """What self-reconstruction saw in an image."""

    layers: list[Layer]


class ClassColour(CocoCategory):
    """A class and how it is drawn."""

    colour: str


class About(BaseModel):
    """What this server runs, and what it takes."""

    version: str
    model: str = Field(description="system and backbone, or what else finds objects")
    classes: list[ClassColour]
    has_maps: bool = Field(description="whether /maps is there")
    has_enhancement: bool = Field(description="whether there is an enhancement to switch off")
    no_maps_because: str = Field(description="a sentence; empty where there are maps")
    max_upload_bytes: int
    max_pixels: int


class Health(BaseModel):
    """That this server answers."""

    status: str


class Problem(BaseModel):
    """Why there is no answer."""

    detail: str = Field(description="one sentence")
