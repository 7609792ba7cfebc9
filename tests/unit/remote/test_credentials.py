"""A bucket that is not there, and keys that are not let in: one clear sentence, exit code 2.

The server looks at keys as Amazon's does: whether it knows them, whether the request was signed
with the right secret, and what their user may do.
"""

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from raycolor import search
from raycolor.data import PreparedData
from raycolor.remote import bucket as bucket_module
from raycolor.remote.data_sets import upload
from raycolor.storage import Patience
from tests.s3 import s3_server

ASKED = "check the credentials (environment, ~/.aws, or the machine's role) and their rights"
RIGHTS = {
    "reader": ["s3:Get*", "s3:List*", "s3:Head*"],
    "nobody": ["s3:GetBucketTagging"],
}
"""What users may do."""


class Server:
    """A server of S3 that looks at keys."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.keys: dict[str, tuple[str, str]] = {}
        iam = boto3.client("iam", endpoint_url=f"http://{place}", region_name="us-east-1")
        for name, rights in RIGHTS.items():
            iam.create_user(UserName=name)
            statement = {"Effect": "Allow", "Action": rights, "Resource": "*"}
            document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
            iam.put_user_policy(UserName=name, PolicyName="rights", PolicyDocument=document)
            key = iam.create_access_key(UserName=name)["AccessKey"]
            self.keys[name] = key["AccessKeyId"], key["SecretAccessKey"]
        iam.close()
        known, _ = self.keys["reader"]
        self.keys |= {"unknown": ("AKIAUNKNOWN", "secret"), "wrong secret": (known, "wrong")}

    def address(self, bucket: str, folder: str) -> str:
        return f"s3://{bucket}/{folder}?endpoint_override={self.place}&scheme=http"

    def look_at_keys(self) -> None:
        """Look at the keys of every call from now on."""
        address = f"http://{self.place}/moto-api/reset-auth"
        # As a form, which is the default, the server would not find it.
        kind = {"Content-Type": "text/plain"}
        request = urllib.request.Request(address, data=b"0", headers=kind)
        with urllib.request.urlopen(request) as answer:
            answer.read()


@pytest.fixture(scope="module")
def server(prepared: PreparedData) -> Iterator[Server]:
    with s3_server() as place:
        made = Server(place)
        upload(prepared.path, made.address("bucket", "toy"))
        made.look_at_keys()
        yield made


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Tries that will not help are not made: what is tried again fails at once."""

    def never(seconds: float) -> None:
        raise AssertionError("was tried again, which mends nothing")

    monkeypatch.setattr(bucket_module, "Patience", lambda: Patience(sleep=never))
    monkeypatch.setenv("RAYCOLOR_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str
) -> tuple[object, str]:
    """Give the command; return its exit code and what it complains of."""
    monkeypatch.setattr("sys.argv", ["raycolor-search", "--study", "tiny", *words])
    with pytest.raises(SystemExit) as ended:
        search.main()
    return ended.value.code, capsys.readouterr().err


@pytest.mark.parametrize("flag", ["--out", "--data"])
@pytest.mark.parametrize("dry", [True, False])
@pytest.mark.parametrize(
    ("user", "bucket", "sentence"),
    [
        ("unknown", "bucket", "the access key is not known; "),
        ("wrong secret", "bucket", "the secret key is not the right one; "),
        ("nobody", "bucket", "access is denied; "),
        ("reader", "nowhere", "there is no such bucket; make it, or name another one"),
    ],
)
def test_is_one_sentence(
    server: Server,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    flag: str,
    dry: bool,
    user: str,
    bucket: str,
    sentence: str,
) -> None:
    key, secret = server.keys[user]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    address = server.address(bucket, "toy")
    code, text = said(capsys, monkeypatch, flag, address, *(["--dry-run"] if dry else []))
    assert code == 2
    (line,) = text.splitlines()
    place, _, rest = line.partition("&scheme=http: ")
    assert f"s3://{bucket}/toy" in place
    if flag == "--data" and user in ("unknown", "wrong secret"):
        # A file is asked for by its head, and to that the server gives no reason.
        sentence = "access is denied; "
    assert rest == sentence + (ASKED if sentence.endswith("; ") else "")


def test_a_study_that_may_be_read_but_not_written_is_one_sentence(
    server: Server, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    key, secret = server.keys["reader"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    code, text = said(capsys, monkeypatch, "--out", server.address("bucket", "studies"))
    assert code == 2
    assert text.splitlines()[-1].endswith(f": access is denied; {ASKED}")
    assert "Traceback" not in text
