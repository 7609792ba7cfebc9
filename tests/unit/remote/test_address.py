"""Addresses are told from folders, taken apart, and refused in one sentence."""

from pathlib import Path

import pytest

from raycolor.errors import ConfigError
from raycolor.remote.address import (
    below,
    check_address,
    is_address,
    last_name,
    mirror_of,
    parent,
)

S3 = "s3://bucket/studies?endpoint_override=localhost:9000&scheme=http"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("s3://bucket/a", True),
        ("gs://bucket", True),
        ("file:///mnt/studies", True),
        ("s3:/bucket", True),
        ("hdfs://host/a", True),
        ("results", False),
        ("/mnt/a:b", False),
        ("C:/a", False),
        ("", False),
    ],
)
def test_an_address_is_told_from_a_folder(text: str, is_one: bool) -> None:
    assert is_address(text) is is_one


@pytest.mark.parametrize("text", ["s3://bucket/a", "gs://bucket", "file:///mnt/studies", S3])
def test_what_raycolor_reads_passes(text: str) -> None:
    check_address("--out", text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("s3:/bucket", "is no address that raycolor reads; take s3://BUCKET/FOLDER"),
        ("hdfs://host/a", "is no address that raycolor reads"),
        ("s3:///a", "names no bucket"),
        ("file://mnt/a", "takes an absolute path; write file:///FOLDER"),
        ("s3://b/a#c", "has a '#'"),
        ("s3://b/a?secret_key=x", "has 'secret_key' after the '?', where s3:// takes region and "),
        ("s3://b/a b", "has a blank, an empty part or a bad '%' in it"),
        ("s3://b//a", "has a blank, an empty part or a bad '%' in it"),
        ("s3://b/%zz", "has a blank, an empty part or a bad '%' in it"),
        ("s3://b/a?scheme=ftp", "scheme is http or https"),
        ("s3://[::1/x", "is no address (Invalid IPv6 URL)"),
        ("file:///a?region=x", "has 'region' after the '?', where file:// takes nothing"),
    ],
)
def test_others_are_refused_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_address("--out", text)
    assert str(caught.value).startswith(f"--out {text}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_key_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(ConfigError, match="credentials come from the environment") as caught:
        check_address("--out", "s3://KEY:SECRET@bucket/a")
    assert "SECRET" not in str(caught.value)


def test_what_follows_a_question_mark_stays_at_the_end() -> None:
    study = below(S3, "a")
    assert study == "s3://bucket/studies/a?endpoint_override=localhost:9000&scheme=http"
    assert parent(study) == S3
    assert last_name(study) == "a"
    assert below("s3://bucket/", "a") == "s3://bucket/a"


def test_a_mirror_lies_in_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path))
    studies = tmp_path / "studies"
    assert mirror_of("s3://bucket/studies/a") == studies / "s3" / "bucket" / "studies" / "a"
    # The same name on another server is another place.
    assert mirror_of(below(S3, "a")).parts[-3:] == ("bucket", "studies", "a")
    assert mirror_of(below(S3, "a")) != mirror_of("s3://bucket/studies/a")
    assert mirror_of("file:///mnt/../../a%20b") == tmp_path / "studies/file/mnt/_/_/a b"
    assert mirror_of(below(S3, "a/b")) == mirror_of(S3) / "a" / "b"
