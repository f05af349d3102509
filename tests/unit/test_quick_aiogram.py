"""aiogram with its types built on first use is the same aiogram."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

LOOK = """
import json, re, sys
{first}
import aiogram
from aiogram.methods.base import TelegramMethod
from aiogram.types.base import TelegramObject

def below(base):
    return {{cls for child in base.__subclasses__() for cls in (child, *below(child))}}

def fields(cls):
    return re.sub(" at 0x[0-9a-f]+", "", repr(sorted(cls.model_fields.items())))  # where a function is differs

classes = sorted(below(TelegramObject) | below(TelegramMethod), key=str)
built = sum(cls.__pydantic_complete__ for cls in classes)
for cls in classes:
    cls.model_rebuild()
json.dump({{"built": built, "fields": {{str(cls): fields(cls) for cls in classes}}}}, sys.stdout)
"""


def look(first: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", LOOK.format(first=first)], cwd=Path(__file__).parents[2], capture_output=True, check=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_type_is_what_aiogram_makes_of_it_but_built_late() -> None:
    quick, plain = look("import mini_apps"), look("")
    assert len(quick["fields"]) > 500
    assert quick["fields"] == plain["fields"]
    assert quick["built"] < plain["built"] / 3  # those without another type in them are built anyway


def test_an_authors_own_model_may_have_a_field_of_aiograms() -> None:
    code = """
import mini_apps
from pydantic import BaseModel
from aiogram.types import Message

class Kept(BaseModel):
    message: Message

print(Kept(message={"message_id": 1, "date": 0, "chat": {"id": 1, "type": "private"}, "text": "hi"}).message.text)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True
    )
    assert done.stdout == "hi\n"
