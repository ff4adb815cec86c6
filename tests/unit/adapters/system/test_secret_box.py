"""Sealed secrets: what is sealed opens again, nothing else does, and KMS is asked as seldom as possible."""

import hmac
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from moto import mock_aws

from payments_sandbox.adapters.kms.client import create_client
from payments_sandbox.adapters.kms.secret_box import KmsSecretBox
from payments_sandbox.adapters.system.secret_box import FileSecretBox, SealedSecretUnreadable, from_text
from payments_sandbox.domain.errors import StoreUnavailable
from tests.each_case import each_case

KEY = bytes(range(32))
SECRET = b"the secret of an endpoint"

SEALED_BY_0_1_0 = "v1.jsQn4htbBmrOL1qQT-b9j-RpO--XYxpIktPBIP9wrKk9yxvg_ntXGSdhVKeqqpPS4OgEUY8"


class CountingClient:
    """Passes calls on, and keeps what was asked."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def generate_data_key(self, **asked: Any) -> Any:
        self.calls.append(("GenerateDataKey", asked))
        return self._client.generate_data_key(**asked)

    def decrypt(self, **asked: Any) -> Any:
        self.calls.append(("Decrypt", asked))
        return self._client.decrypt(**asked)


class FailingClient:
    """Raises whatever is asked of it."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def generate_data_key(self, **_asked: Any) -> Any:
        raise self.error

    def decrypt(self, **_asked: Any) -> Any:
        raise self.error


@pytest.fixture(scope="module")
def kms() -> Iterator[Any]:
    with mock_aws():
        yield boto3.client(
            "kms", region_name="eu-central-1", aws_access_key_id="test", aws_secret_access_key="test"
        )


@pytest.fixture(scope="module")
def key_id(kms: Any) -> str:
    return str(kms.create_key()["KeyMetadata"]["KeyId"])


def kms_error(code: str, status: int = 400) -> ClientError:
    return ClientError(
        {"Error": {"Code": code, "Message": ""}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        "Decrypt",
    )


def another(character: str) -> str:
    return "A" if character != "A" else "B"


@pytest.mark.parametrize("secret", [SECRET, b"", bytes(range(256)) * 16])
def test_what_the_file_box_seals_it_opens(secret: bytes) -> None:
    sealed = FileSecretBox(KEY).seal(secret)
    assert sealed.startswith("v1.")
    assert sealed.isascii()
    assert FileSecretBox(KEY).open(sealed) == secret


def test_what_was_sealed_long_ago_still_opens() -> None:
    assert FileSecretBox(KEY).open(SEALED_BY_0_1_0) == SECRET


def test_the_file_box_is_hkdf_and_aes_256_gcm_as_it_says() -> None:
    purpose = b"payments-sandbox webhook secrets v1"
    extracted = hmac.digest(bytes(32), KEY, "sha256")
    derived = hmac.digest(extracted, purpose + b"\x01", "sha256")
    box = from_text(FileSecretBox(KEY).seal(SECRET).removeprefix("v1."))
    assert AESGCM(derived).decrypt(box[:12], box[12:], purpose) == SECRET


def test_one_secret_is_sealed_differently_each_time() -> None:
    box = FileSecretBox(KEY)
    assert len({box.seal(SECRET) for _ in range(100)}) == 100


def test_a_sealed_secret_of_which_any_character_was_changed_does_not_open() -> None:
    box = FileSecretBox(KEY)
    sealed = box.seal(SECRET)
    for at in range(len(sealed)):
        altered = sealed[:at] + another(sealed[at]) + sealed[at + 1 :]
        with pytest.raises(SealedSecretUnreadable) as unreadable:
            box.open(altered)
        assert altered not in str(unreadable.value)


@each_case(
    "mangle",
    [
        lambda sealed: "",
        lambda sealed: "v1",
        lambda sealed: "v1.",
        lambda sealed: sealed[:20],
        lambda sealed: sealed[:-1],
        lambda sealed: sealed + "=",
        lambda sealed: sealed + "A",
        lambda sealed: sealed + "\n",
        lambda sealed: sealed[:10] + " " + sealed[10:],
        lambda sealed: sealed[:10] + "ä" + sealed[10:],
        lambda sealed: "v2" + sealed[2:],
        lambda sealed: "kms1" + sealed[2:],
        lambda sealed: sealed[3:],
    ],
)
def test_what_is_no_sealed_secret_does_not_open(mangle: Any) -> None:
    box = FileSecretBox(KEY)
    with pytest.raises(SealedSecretUnreadable):
        box.open(mangle(box.seal(SECRET)))


def test_the_other_spellings_of_the_same_bytes_do_not_open() -> None:
    box = FileSecretBox(KEY)
    while True:
        sealed = box.seal(SECRET)
        if "-" in sealed or "_" in sealed:
            break
    with pytest.raises(SealedSecretUnreadable):
        box.open(sealed.replace("-", "+").replace("_", "/"))


def test_another_key_opens_nothing() -> None:
    with pytest.raises(SealedSecretUnreadable):
        FileSecretBox(bytes(32)).open(FileSecretBox(KEY).seal(SECRET))


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        FileSecretBox(KEY[:31])


def test_sealing_and_opening_call_kms_once_each_however_often_it_is_opened(kms: Any, key_id: str) -> None:
    client = CountingClient(kms)
    box = KmsSecretBox(client, key_id)
    sealed = box.seal(SECRET)
    assert [name for name, _ in client.calls] == ["GenerateDataKey"]
    assert [box.open(sealed) for _ in range(100)] == [SECRET] * 100
    assert [name for name, _ in client.calls] == ["GenerateDataKey", "Decrypt"]
    for _, asked in client.calls:
        assert asked["EncryptionContext"] == {"purpose": "webhook-secret"}
        assert asked["KeyId"] == key_id


def test_the_sealed_text_holds_neither_secret_nor_data_key(kms: Any, key_id: str) -> None:
    made: list[bytes] = []

    class Watching(CountingClient):
        def generate_data_key(self, **asked: Any) -> Any:
            answer = super().generate_data_key(**asked)
            made.append(answer["Plaintext"])
            return answer

    sealed = KmsSecretBox(Watching(kms), key_id).seal(SECRET)
    version, data_key, box = sealed.split(".")
    assert version == "kms1"
    assert sealed.isascii()
    for part in (from_text(data_key), from_text(box)):
        assert SECRET not in part
        assert made[0] not in part


def test_each_secret_has_a_data_key_of_its_own(kms: Any, key_id: str) -> None:
    box = KmsSecretBox(kms, key_id)
    assert len({box.seal(SECRET).split(".")[1] for _ in range(10)}) == 10


def test_a_box_remembers_no_more_secrets_than_it_may(kms: Any, key_id: str) -> None:
    client = CountingClient(kms)
    box = KmsSecretBox(client, key_id, secrets_kept=2)
    first, second, third = (box.seal(secret) for secret in (b"1", b"2", b"3"))
    client.calls.clear()
    for sealed in (first, second, first, third, first):
        box.open(sealed)
    assert len(client.calls) == 3
    assert box.open(second) == b"2"
    assert len(client.calls) == 4


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_kms_secret_that_was_altered_does_not_open(kms: Any, key_id: str, part: int) -> None:
    box = KmsSecretBox(kms, key_id)
    parts = box.seal(SECRET).split(".")
    parts[part] = parts[part][:-4] + another(parts[part][-4]) + parts[part][-3:]
    with pytest.raises(SealedSecretUnreadable):
        box.open(".".join(parts))


def test_the_boxes_do_not_open_each_others_secrets(kms: Any, key_id: str) -> None:
    with pytest.raises(SealedSecretUnreadable):
        KmsSecretBox(kms, key_id).open(FileSecretBox(KEY).seal(SECRET))
    with pytest.raises(SealedSecretUnreadable):
        FileSecretBox(KEY).open(KmsSecretBox(kms, key_id).seal(SECRET))


def test_a_data_key_of_another_context_or_unknown_to_kms_is_unreadable() -> None:
    sealed = "kms1.AAAA.AAAA"
    for code in ("InvalidCiphertextException", "IncorrectKeyException"):
        with pytest.raises(SealedSecretUnreadable):
            KmsSecretBox(FailingClient(kms_error(code)), "key").open(sealed)


@each_case(
    "error",
    [
        kms_error("ThrottlingException"),
        kms_error("KMSInternalException", 500),
        kms_error("KeyUnavailableException", 500),
        kms_error("DependencyTimeoutException", 503),
        kms_error("SomethingNew", 502),
        EndpointConnectionError(endpoint_url="https://kms.example"),
        ReadTimeoutError(endpoint_url="https://kms.example"),
    ],
)
def test_an_outage_of_kms_is_unavailable_and_worth_trying_again(error: Exception) -> None:
    client = FailingClient(error)
    box = KmsSecretBox(client, "key")
    for call in (lambda: box.seal(SECRET), lambda: box.open("kms1.AAAA.AAAA")):
        with pytest.raises(StoreUnavailable, match="key service") as unavailable:
            call()
        assert unavailable.value.retryable


def test_an_outage_is_not_remembered(kms: Any, key_id: str) -> None:
    sealed = KmsSecretBox(kms, key_id).seal(SECRET)

    class Recovering(CountingClient):
        def decrypt(self, **asked: Any) -> Any:
            if not self.calls:
                self.calls.append(("Decrypt", asked))
                raise kms_error("ThrottlingException")
            return super().decrypt(**asked)

    box = KmsSecretBox(Recovering(kms), key_id)
    with pytest.raises(StoreUnavailable):
        box.open(sealed)
    assert box.open(sealed) == SECRET


def test_a_key_that_does_not_exist_is_the_deployments_fault(kms: Any) -> None:
    with pytest.raises(ClientError, match="NotFound"):
        KmsSecretBox(kms, "2c1f4f10-0000-4000-8000-000000000000").seal(SECRET)


@each_case(
    "code", ["AccessDeniedException", "DisabledException", "KMSInvalidStateException", "ValidationException"]
)
def test_a_key_that_may_not_be_used_is_the_deployments_fault(code: str) -> None:
    box = KmsSecretBox(FailingClient(kms_error(code)), "key")
    for call in (lambda: box.seal(SECRET), lambda: box.open("kms1.AAAA.AAAA")):
        with pytest.raises(ClientError, match=code):
            call()


def test_the_client_gives_up_within_seconds() -> None:
    with mock_aws():
        client: Any = create_client(region_name="eu-central-1")
    config = client.meta.config
    assert (config.connect_timeout + config.read_timeout) * config.retries["total_max_attempts"] < 10
    assert client.meta.service_model.service_name == "kms"


def test_neither_boto3_nor_cryptography_is_loaded_before_it_is_needed() -> None:
    program = (
        "import sys, payments_sandbox.adapters.kms.secret_box, payments_sandbox.adapters.system.secret_box\n"
        "print(sorted({'boto3', 'botocore', 'cryptography'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
