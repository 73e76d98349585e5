"""What a repository on the Hugging Face Hub holds, and which of it transformers loads. No bytes are fetched here.

The environment is read when asked, not when imported: HF_ENDPOINT, HF_HUB_OFFLINE, HF_TOKEN.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from typing import Any

from data_miner.errors import ModelError
from data_miner.models import reach
from data_miner.models.pulled import PICTURES, WORDS
from data_miner.models.transfer import File

WEIGHTS, INDEX, PICKLE = "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin"
TEXTS = {  # what from_pretrained of models, image processors and tokenizers asks for
    *("config.json", *PICTURES, *WORDS, "merges.txt", INDEX),
    *("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
}


@dataclass(frozen=True, slots=True)
class Listing:
    """The files of one model that are needed, as its server announces them."""

    name: str
    revision: str  # commit of a repository; release of Ultralytics' weights
    files: Sequence[File]

    @property
    def total_bytes(self) -> int:
        """Of all files."""
        return sum(file.size_bytes or 0 for file in self.files)


def is_offline() -> bool:
    """Did the user forbid the network? As huggingface_hub reads its variables."""
    said = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return said.upper() in ("1", "ON", "YES", "TRUE")


def endpoint() -> str:
    """Where the hub is."""
    return (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")


def token() -> str | None:
    """HF_TOKEN, else what `hf auth login` keeps."""
    from huggingface_hub import get_token

    found: str | None = get_token()
    return found


def list_repository(name: str, revision: str | None = None) -> Listing:
    """Ask the hub which files of a repository are to be loaded. Raises ModelError."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    hub = HfApi(endpoint=endpoint(), token=token() or False)
    try:
        info = reach.within(
            lambda: hub.model_info(name, revision=revision, files_metadata=True, timeout=reach.ANSWER_S)
        )
    except HfHubHTTPError as error:
        # `from None` throughout: what the libraries raise may quote headers and signed addresses
        raise refusal(name, error.response.status_code, error.response.headers) from None
    except HFValidationError:
        raise ModelError(f"{name}: not a name that Hugging Face can have; it is ORGANISATION/MODEL") from None
    except Exception as error:
        if not reach.is_network(error):
            raise
        raise reach.unreachable(name, endpoint(), error) from None
    return Listing(name, str(info.sha), _loaded(name, [_file(sibling) for sibling in info.siblings or ()]))


def refusal(name: str, status: int, headers: Mapping[str, str]) -> ModelError:
    """Why the hub says no, and the cure, in one line.

    The hub answers 401 for what does not exist as well as for what is private (huggingface_hub/utils/_http.py).
    """
    code, said = headers.get("X-Error-Code", ""), headers.get("X-Error-Message", "")
    page, has_token = f"{endpoint()}/{name}", token() is not None
    if code == "GatedRepo":
        again = "the account of HF_TOKEN may not read it yet" if has_token else "then set HF_TOKEN"
        return ModelError(f"{name}: gated; accept its licence on {page}, {again}")
    if code == "RevisionNotFound" or code == "EntryNotFound":
        return ModelError(f"{name}: the hub does not have this revision any more; see {page}")
    if status == 401 and (has_token or "credentials" in said.lower()):
        return ModelError(f"{name}: HF_TOKEN is not accepted for it, or there is no such model; see {page}")
    if status in (401, 404):
        return ModelError(f"{name}: no such model at {endpoint()}; check the name, or set HF_TOKEN if it is private")
    if status == 403:
        return ModelError(f"{name}: not allowed; accept its licence on {page}, set HF_TOKEN to a token that may read")
    return ModelError(f"{name}: the hub answers with status {status}; try again later")


def _file(sibling: Any) -> File:
    return File(sibling.rfilename, sibling.size, sibling.lfs.sha256 if sibling.lfs else None, sibling.blob_id)


def _loaded(name: str, files: Sequence[File]) -> tuple[File, ...]:
    """The files that transformers opens: settings, words, and weights in the safetensors format."""
    own = {file.name: file for file in files if "/" not in file.name and not file.name.startswith(".")}
    if "config.json" not in own or not any(word in own for word in PICTURES):
        absent = "config.json" if "config.json" not in own else PICTURES[0]
        raise ModelError(f"{name}: not a transformers model that looks at pictures; it has no {absent}")
    texts = [file for file in own.values() if file.name in TEXTS]
    if WEIGHTS in own:
        weights = [own[WEIGHTS]]
        texts = [file for file in texts if file.name != INDEX]
    elif INDEX in own:
        weights = [file for file in own.values() if fnmatch(file.name, "model-*-of-*.safetensors")]
    elif PICKLE in own:
        weights = [own[PICKLE]]  # turned into safetensors once it is here, see `conversion`
    else:
        raise ModelError(f"{name}: has no {WEIGHTS}, and other formats are not loaded; name a model that has one")
    if empty := [file.name for file in (*texts, *weights) if not file.size_bytes]:
        raise ModelError(f"{name}: {empty[0]} is empty on the hub; the upload seems broken, name another model")
    return tuple(sorted((*texts, *weights), key=lambda file: file.name))
