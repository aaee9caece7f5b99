"""Which code does a study train? A bundle of the problem file and the modules beside it, known by its hash."""

import hashlib
import io
import itertools
import json
import tokenize
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from types import MappingProxyType

from optselect.search.errors import InvalidInput
from optselect.search.spec.stored import stored_description, stored_spec
from optselect.search.spec.study_spec import CustomClass
from optselect.storage.records.studies import StoredStudy
from optselect.storage.server.own_files import closed, make_folder, replacing
from optselect.trials.terms.bundled import bundled_problems, resolve_problem
from optselect.trials.terms.errors import ProblemError
from optselect.trials.terms.listed_code import ListedCode
from optselect.trials.terms.reference import BUNDLE_FOLDER, Reference, stored_reference


def read_bundle(
    problem: Path, modules: Iterable[str], custom: Mapping[str, CustomClass] = MappingProxyType({})
) -> dict[str, str]:
    """The text of every module that the problem and its optimizers imported from their folders, by relative path."""
    return {name: read_source(local_file(problem, name, custom)) for name in sorted(modules)}


def read_source(file: Path) -> str:
    """The text of a module as Python decodes it; a mark that begins the file stays. Raises InvalidInput."""
    body = file.read_bytes()
    try:
        return io.TextIOWrapper(io.BytesIO(body), encoding_of(body)).read()
    except (SyntaxError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"{file} must be Python's source, for every worker trains what the study keeps of it. Received: {error}. "
            "A compiled module must be installed."
        ) from error


def written_source(content: str) -> bytes:
    """The file of a text that read_source gave: its first lines may name an encoding."""
    return content.encode(encoding_of(content.encode()))


def encoding_of(body: bytes) -> str:
    """In which encoding Python reads a file, by its first two lines."""
    found, _ = tokenize.detect_encoding(io.BytesIO(body).readline)
    # So that hashes of files with a mark stay what they were.
    return "utf-8" if found == "utf-8-sig" else found


def local_file(problem: Path, name: str, custom: Mapping[str, CustomClass]) -> Path:
    """Where a file of a bundle lies on the machine of the launch."""
    folder, _, inner = name.partition("/")
    if folder != BUNDLE_FOLDER:
        return problem.parent / name
    owner, _, inner = inner.partition("/")
    return stored_reference(custom[owner].reference).path.parent / inner


def bundle_hash(bundle: Mapping[str, str]) -> str:
    """A hash of names and texts, in hexadecimal."""
    return hashlib.sha256(json.dumps(sorted(bundle.items())).encode()).hexdigest()


def local_hash(problem: Path, bundle: Mapping[str, str], custom: Mapping[str, CustomClass]) -> str | None:
    """The hash that the bundle's files have on this machine; None where one is missing, the problem's own included."""
    if problem.name not in bundle:  # a row may name another file beside a copy of the bundle's
        return None
    try:
        return bundle_hash(read_bundle(problem, bundle, custom))
    except (OSError, InvalidInput, KeyError):
        return None


def find_source(study: StoredStudy, home: Path, use_local: bool) -> Path:
    """The problem file to train: this machine's own where it is the study's, else one written from the bundle.

    Raises:
        InvalidInput: the local file is another one, and `use_local` does not allow it.
    """
    spec = stored_spec(study)
    try:
        problem = resolve_problem(spec.problem)
    except ProblemError:
        return unpacked(study, home)
    found = local_hash(problem, study.bundle, spec.custom)
    if found == study.bundle_sha256 or use_local:
        return problem
    if found is None or spec.problem in bundled_problems():  # another version's example, no edit
        return unpacked(study, home)
    raise InvalidInput(
        f'The problem of study "{study.name}" must be the one it was launched with ({study.bundle_sha256[:12]}). '
        f"Received: {problem} ({found[:12]}). Restore the file, launch under another --name, or give --use-local."
    )


def find_classes(study: StoredStudy, problem: Path, home: Path) -> list[Reference]:
    """Where the study's own optimizers are on this machine: with the problem file, in the bundle, or installed."""
    described = stored_description(study).optimizers
    found = []
    for name, one in stored_spec(study).custom.items():
        file, reference = described[name].file if name in described else "", stored_reference(one.reference)
        if file.startswith(f"{BUNDLE_FOLDER}/"):
            found.append(Reference(str(unpacked(study, home).parent / file), name))
        elif file:
            found.append(Reference(str(problem.parent / file), name))
        elif not reference.is_file:
            found.append(reference)
        if (file or reference.is_file) and file not in study.bundle:
            raise InvalidInput(
                f'The classes of study "{study.name}" must stand in its bundle, or be installed. '
                f"Received: {name} from {file or reference.place}."
            )
    return found


def unpacked(study: StoredStudy, home: Path) -> Path:
    """Write the bundle below the home folder, once for each content, and return the problem file there."""
    # By the hash of what came: files of another bundle, whatever hash stands beside it, lie elsewhere.
    folder = (home / "bundles" / bundle_hash(study.bundle)).resolve()
    problem = Path(study.problem["path"]).name
    demand_names(study, problem)
    for name, body in written_sources(study).items():
        file = folder / name
        if not file.resolve().is_relative_to(folder):
            raise InvalidInput(
                f'The bundle of study "{study.name}" must stay in its folder. Received: {name}.'
            )
        # Whoever has this home may have changed it.
        if not file.exists() or file.read_bytes() != body:
            make_folder(file.parent)
            with replacing(file, closed) as stream:
                stream.write(body)
    return folder / problem


def demand_names(study: StoredStudy, problem: str) -> None:
    """Refuse a bundle whose files would lie elsewhere than below its folder, or in each other's place."""
    for name in study.bundle:
        parts = PurePosixPath(name).parts
        is_plain = (
            parts and "/".join(parts) == name and not {"..", "/"} & set(parts) and not set("\\\0") & set(name)
        )
        if not is_plain or any(str(above) in study.bundle for above in PurePosixPath(name).parents):
            raise InvalidInput(
                f'The bundle of study "{study.name}" must stay in its folder. Received: {name!r}.'
            )
    if problem not in study.bundle:
        raise InvalidInput(
            f'The problem of study "{study.name}" must be a file of its bundle. Received: {problem!r}, and '
            f"{', '.join(sorted(study.bundle))}."
        )


def written_sources(study: StoredStudy) -> dict[str, bytes]:
    """The files of a study's bundle."""
    try:
        return {name: written_source(content) for name, content in study.bundle.items()}
    except (SyntaxError, UnicodeError, LookupError) as error:
        raise InvalidInput(
            f'The bundle of study "{study.name}" must be Python\'s source. Received: {error}.'
        ) from error


def listed_code(study: StoredStudy, home: Path) -> ListedCode:
    """The code that may run where the study's bundle is all that is trusted."""
    names = sorted(study.bundle, key=str.casefold)
    for name, other in itertools.pairwise(names):
        if name.casefold() == other.casefold():  # which one runs must not be the file system's to say
            raise InvalidInput(
                f"Files of a listed bundle must differ by more than capital letters. Received: {name} and {other} of "
                f'study "{study.name}".'
            )
    hashes = {name: hashlib.sha256(body).hexdigest() for name, body in written_sources(study).items()}
    return ListedCode(str(unpacked(study, home).parent), hashes)


def rows_folder(home: Path) -> Path:
    """Where this machine keeps what data() gave, by its hash."""
    return home / "rows"


def weights_folder(home: Path) -> Path:
    """Where this machine keeps initial weights, by problem and seed."""
    return home / "weights"
