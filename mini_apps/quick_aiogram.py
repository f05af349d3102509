"""Let aiogram build its types when they are first used, and not all of them when it is imported.

aiogram calls `model_rebuild` for each of its 400 types at the end of `aiogram.types`: most of the time a bot worker
takes to start and much of its memory, for types that nearly no bot ever sees. Pydantic builds a type by itself when it
is first used, if it can resolve the names in its annotations. So the calls are skipped, and the names that aiogram
imports only for type checkers are put where Pydantic looks for them: into the module of each class.
"""

import re
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

_WORD = re.compile(r"[A-Za-z_]\w*")


def install() -> None:
    """Have a later `import aiogram`, by whomever, leave its types unbuilt; one that was imported before stays."""
    if "aiogram.types" not in sys.modules and not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds what Python finds, and has two modules of aiogram loaded by `_Loader`."""

    def __init__(self) -> None:
        names: dict[str, Any] = {}  # what aiogram gives to `model_rebuild`: the names used in annotations
        self._then = {
            "aiogram.types.base": lambda module: _skip_rebuilding(module.TelegramObject, names),
            "aiogram.methods": lambda module: _build_on_use(module.TelegramMethod, names),  # the last of them to load
        }

    def find_spec(
        self, fullname: str, path: "Sequence[str] | None", target: "ModuleType | None" = None
    ) -> ModuleSpec | None:
        if fullname not in self._then:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = _Loader(spec.loader.name, spec.loader.path)
            spec.loader.then = self._then[fullname]
        return spec


class _Loader(SourceFileLoader):
    """Python's own loader, with something to do once the module has run."""

    then: Any

    def exec_module(self, module: "ModuleType") -> None:
        super().exec_module(module)
        self.then(module)


def _skip_rebuilding(base: type, names: dict[str, Any]) -> None:
    def note(_cls: type, /, _types_namespace: "Mapping[str, Any] | None" = None, **_options: Any) -> None:
        names.update(_types_namespace or {})

    base.model_rebuild = classmethod(note)  # type: ignore[attr-defined]  # deleted again by `_build_on_use`


def _build_on_use(methods: type, names: "Mapping[str, Any]") -> None:
    objects = sys.modules["aiogram.types.base"].TelegramObject
    del objects.model_rebuild  # what `_skip_rebuilding` put there; Pydantic's own is inherited
    for cls in _below(objects) | _below(methods):
        module = vars(sys.modules[cls.__module__])
        for word in _words_of_annotations(cls) & names.keys():
            module.setdefault(word, names[word])


def _words_of_annotations(cls: type) -> set[str]:
    """Give the words in a class's annotations, inherited ones too: Pydantic looks them all up in its module."""
    annotations = (vars(base).get("__annotations__", {}) for base in cls.__mro__)
    return {word for one in annotations for annotation in one.values() for word in _WORD.findall(str(annotation))}


def _below(base: type) -> "set[type]":
    children: list[type] = base.__subclasses__()
    return {*children, *(cls for child in children for cls in _below(child))}
