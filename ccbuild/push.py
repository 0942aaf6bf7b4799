"""A corpus to a dataset repository of Hugging Face. The token is that of `huggingface_hub`; it is never seen here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ccbuild.corpus import CorpusLanguage, open_corpus
from ccbuild.errors import DataError, InputError, NetworkError
from ccbuild.plural import many
from ccbuild.progress import counted, phase
from ccbuild.storage import sha256_file

__all__ = ["push"]


def push(folder: str | Path, repo: str, *, private: bool = True, endpoint: str | None = None) -> str:
    """Upload what the manifests of a run's corpus name, card and Croissant file included; returns where it is.

    Every file is hashed first: `DataError` for one that is not what its manifest states. A file that the repository has
    already is not sent again. `InputError` where `huggingface_hub` is missing, `NetworkError` when the Hub refuses.
    """
    try:
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
    except ModuleNotFoundError as error:
        raise InputError(f"{error.name} is not installed. Install it: pip install 'ccbuild[publish]'.") from error
    corpus = open_corpus(folder)
    root, names = next(iter(corpus.values())).folder, _checked_names(corpus)
    api = HfApi(endpoint=endpoint)
    try:
        url = api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
        with phase(f"upload {many(len(names), 'file')}"):
            api.upload_folder(
                repo_id=repo,
                repo_type="dataset",
                folder_path=root,
                allow_patterns=names,
                commit_message=f"Corpus in {many(len(corpus), 'language')}",
            )
    except HFValidationError as error:
        raise InputError(f"{repo!r} is no name of a repository: {error}") from error
    except OfflineModeIsEnabled as error:
        raise NetworkError(f"Nothing was sent: {error} Unset HF_HUB_OFFLINE to push.") from error
    except (HfHubHTTPError, OSError) as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise NetworkError(
            f"{repo} could not be pushed: {first} Log in with `hf auth login`, and run it again."
        ) from error
    return str(url)


def _checked_names(corpus: Mapping[str, CorpusLanguage]) -> list[str]:
    """The files to send, each found as its manifest states it."""
    root = next(iter(corpus.values())).folder
    names = ["README.md", "croissant.jsonld"]
    for name in names:
        if not (root / name).is_file():
            raise InputError(f"{root / name} is missing. Run the verb publish to its end first.")
    for language in counted(corpus.values(), "languages", len(corpus)):
        with phase(f"check {language.code}"):
            for name, stated in language.manifest.outputs.items():
                if sha256_file(root / name) != stated["sha256"]:
                    raise DataError(
                        f"{root / name} is not what {language.code}.json states. Publish {language.code} again."
                    )
                names.append(name)
    return names
