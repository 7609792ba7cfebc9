"""Files of every format, whole and mutated, are read or refused."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image

from raycolor.errors import DataError
from raycolor.photographs.read import Photograph
from tests.unit.photographs.encoding import SRGB, encoded, noise, read


def _samples() -> list[tuple[str, bytes]]:
    """One file of each format and mode that Pillow writes."""
    Image.init()
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.DateTimeOriginal: "1999:12:31 23:59:58"}
    samples, block = [], exif.tobytes()
    for format in sorted(set(Image.SAVE) & set(Image.OPEN) - {"IM"}):
        for mode in ("RGB", "RGBA", "L", "P", "1", "CMYK", "I;16"):
            picture = Image.fromarray(noise())
            picture = (
                Image.fromarray(noise()[..., 0].astype(np.uint16))
                if mode == "I;16"
                else picture.convert(mode)
            )
            try:
                samples.append((format, encoded(picture, format, exif=block, icc_profile=SRGB)))
            except (OSError, ValueError, KeyError, TypeError):
                continue  # this format has no such mode
    return samples


def outcome_of(contents: bytes) -> Photograph | str:
    """The picture, or the sentence that refuses it."""
    try:
        return read(contents, most_pixels=1_000_000)
    except DataError as error:
        return str(error)


@pytest.fixture(scope="module")
def samples() -> list[tuple[str, bytes]]:
    return _samples()


class TestHostileFiles:
    def test_many_formats_are_tried(self, samples: list[tuple[str, bytes]]) -> None:
        assert {"JPEG", "PNG", "TIFF", "WEBP", "GIF", "BMP", "JPEG2000", "ICO"} <= {
            format for format, _ in samples
        }

    def test_each_sample_is_read_whole(self, samples: list[tuple[str, bytes]]) -> None:
        for format, contents in samples:
            if format not in {"EPS", "ICNS", "ICO"}:  # a drawing, and icons, which change size
                assert sorted(read(contents).rgb_u8.shape[:2]) == [24, 31], format

    @settings(
        max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None
    )
    @given(data=st.data())
    def test_mutated_files_are_read_or_refused(
        self, samples: list[tuple[str, bytes]], data: st.DataObject
    ) -> None:
        _, contents = data.draw(st.sampled_from(samples))
        mutated = bytearray(contents)
        last = len(mutated) - 1
        for _ in range(data.draw(st.integers(0, 5))):
            near = data.draw(st.sampled_from([min(200, last), last]))
            mutated[data.draw(st.integers(0, near))] = data.draw(st.integers(0, 255))
        cut = data.draw(st.integers(1, len(mutated)) | st.just(len(mutated)))
        outcome = outcome_of(bytes(mutated[:cut]))
        if isinstance(outcome, Photograph):
            assert outcome.rgb_u8.size
        else:
            assert outcome.startswith("old.jpg: ")
            assert "\n" not in outcome

    def test_nothing_is_printed_or_logged(
        self,
        capfd: pytest.CaptureFixture[str],
        caplog: pytest.LogCaptureFixture,
        samples: list[tuple[str, bytes]],
    ) -> None:
        rng = np.random.default_rng(0)
        for format, contents in samples:
            if format == "TIFF":
                for _ in range(60):
                    mutated = bytearray(contents)
                    for place in rng.integers(0, len(mutated), 4):
                        mutated[place] = rng.integers(256)
                    with suppress(DataError):
                        read(bytes(mutated), most_pixels=1_000_000)
        assert capfd.readouterr() == ("", "")
        assert not caplog.records
