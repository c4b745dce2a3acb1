"""The routes."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Collection
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from fastapi import APIRouter, FastAPI, HTTPException, Query, Request, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from numpy.typing import NDArray
from PIL import Image
from starlette.formparsers import MultiPartParser

from srtod import __version__
from srtod.data.images import ImageBytes, TooManyPixels
from srtod.serve.decoding import Decoders
from srtod.serve.guard import Guard, problem, too_large
from srtod.serve.layers import png
from srtod.serve.limits import Limits, clean_name, fitting_megapixels
from srtod.serve.queue import BusyError, JobQueue, MemoryFullError
from srtod.serve.schema import About, CocoDetections, Health, Maps, Problem
from srtod.serve.served import Served
from srtod.support.errors import InputError
from srtod.types import Finder

Answer = TypeVar("Answer")

PAGE = Path(__file__).parent / "page"

_SAID_OF = {
    400: "asked for under a foreign name",
    408: "the bytes took too long to arrive",
    413: "too many bytes or pixels, or more than memory takes",
    415: "not sent as a form",
    422: "the image cannot be read, or an option is wrong",
    500: "the server failed",
    503: "busy; the header Retry-After says for how many seconds",
    504: "the work took too long",
}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": text} for status, text in _SAID_OF.items()
}

routes = APIRouter()


def create_app(finder: Finder, *, limits: Limits | None = None, hosts: Collection[str] = ()) -> FastAPI:
    """Build the application around one finder, which all requests share.

    Args:
        finder: a detector in evaluation mode, or a program made from one.
        limits: what is refused; by default also what does not fit into the free memory.
        hosts: names, in lower case, under which the server may be asked for; empty allows all.
    """
    limits = limits or Limits(megapixels=fitting_megapixels(finder))
    queue, decoders = JobQueue(limits.waiting), Decoders(limits)
    # Uploads stay in memory, whatever their size: Guard bounds it, and nothing of them touches the disk.
    MultiPartParser.spool_max_size = max(MultiPartParser.spool_max_size, limits.body_bytes)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        try:
            await decoders.prepare()
            yield
        finally:
            queue.close()
            decoders.close()

    app = FastAPI(
        title="srtod",
        version=__version__,
        description="Find tiny objects in images. Errors are a JSON object whose `detail` is one sentence.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.served, app.state.limits = Served(finder), limits
    app.state.queue, app.state.decoders = queue, decoders
    app.include_router(routes)
    app.mount("/page", StaticFiles(directory=PAGE))
    app.add_middleware(Guard, limits=limits, hosts=hosts)
    app.add_exception_handler(RequestValidationError, _say_what_is_wrong)
    return app


@routes.get("/", include_in_schema=False)
async def index() -> FileResponse:
    """The page."""
    return FileResponse(PAGE / "index.html")


@routes.get("/docs", include_in_schema=False)
async def docs() -> FileResponse:
    """The description of the routes, for people, without anything from elsewhere."""
    return FileResponse(PAGE / "docs.html")


@routes.get("/about")
async def about(request: Request) -> About:
    """What this server runs, and what it takes."""
    served: Served = request.app.state.served
    return served.about(request.app.state.limits)


@routes.get("/health")
async def health() -> Health:
    """Whether the server answers; it does once the detector is loaded and warm."""
    return Health(status="ok")


@routes.post("/detect", responses=_PROBLEMS)
async def detect(
    request: Request,
    file: UploadFile,
    score_threshold: Annotated[float, Query(ge=0, le=1, description="leave out what scores less")] = 0.0,
    enhancement: Annotated[
        bool,
        Query(description="false: the same detector, its finest level not enhanced by self-reconstruction"),
    ] = True,
) -> CocoDetections:
    """Find objects in an image: a COCO file with scores."""
    served, name = request.app.state.served, clean_name(file.filename)
    choices = {"score_threshold": score_threshold, "enhancement": enhancement}
    return await _work(request, file, lambda image: served.detect(image, name, **choices))


@routes.post("/maps", responses=_PROBLEMS)
async def maps(request: Request, file: UploadFile) -> Maps:
    """What self-reconstruction sees in an image: difference, mask, finest level, rebuilt image."""
    return await _work(request, file, request.app.state.served.maps)


@routes.post("/picture", responses=_PROBLEMS | {200: {"content": {"image/png": {}}}}, response_class=Response)
async def picture(request: Request, file: UploadFile) -> Response:
    """The image as the detector sees it, as PNG: for kinds that browsers cannot show, such as TIFF."""
    data = await _work(request, file, lambda image: png(Image.fromarray(image)))
    return Response(data, media_type="image/png")


async def _work(request: Request, file: UploadFile, job: Callable[[NDArray[np.uint8]], Answer]) -> Answer:
    """Have a job done on the image of a file, within the limits, while there is somebody who waits for it."""
    queue: JobQueue = request.app.state.queue
    limits: Limits = request.app.state.limits
    form = await request.form()
    if others := [name for name in form if name != "file"]:
        raise HTTPException(422, f"{others[0]}: give it in the address, as ?{others[0]}=..., not in the form")
    if len(form.getlist("file")) > 1:
        raise HTTPException(422, "file: one a request; send the others in requests of their own")
    data = await file.read()
    if len(data) > limits.upload_bytes:
        raise HTTPException(413, too_large(limits))
    upload, stretch = ImageBytes(clean_name(file.filename), data), request.app.state.served.stretch
    try:
        with queue.place():
            async with asyncio.timeout(limits.seconds), _asked_for(request):
                image = await request.app.state.decoders.decode(upload, stretch)
                return await asyncio.wrap_future(queue.submit(lambda: job(image)))
    except BusyError as busy:
        raise HTTPException(503, str(busy), {"Retry-After": str(busy.retry_after)}) from None
    except TimeoutError:
        raise HTTPException(504, f"not done within {limits.seconds:g} s; try a smaller image") from None
    except (TooManyPixels, MemoryFullError) as error:
        raise HTTPException(413, str(error)) from None
    except InputError as error:
        raise HTTPException(422, str(error)) from None


@asynccontextmanager
async def _asked_for(request: Request) -> AsyncGenerator[None]:
    """Cancel what is done within once the connection is closed."""
    working = asyncio.current_task()
    assert working is not None

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        working.cancel()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()


async def _say_what_is_wrong(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    if first["loc"] == ("body", "file") and first["type"] == "value_error":
        return problem(422, "file: a text came in place of a file; with curl write -F file=@photo.jpg")
    return problem(422, f"{first['loc'][-1]}: {first['msg']}")
