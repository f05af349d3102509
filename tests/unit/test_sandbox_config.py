"""What the sandbox refuses to start with, and how it says so."""

import json

import pytest

from sandbox.config import BotConfig, ConfigError, SandboxConfig, load, parse_app
from sandbox.hosts import is_loopback, without_port

BOT = BotConfig("counter", "42:sandbox-counter", "http://127.0.0.1:8080/apps/counter/")
REAL = "123456789:AAH" + "x" * 32


def test_a_good_config_passes():
    SandboxConfig(bots=(BOT,)).check()


@pytest.mark.parametrize(
    ("config", "text"),
    [
        (SandboxConfig(host="0.0.0.0"), "--allow-remote"),
        (SandboxConfig(host="example.com"), "--allow-remote"),
        (SandboxConfig(bots=(BotConfig("counter", REAL),)), "--allow-real-token"),
        (SandboxConfig(bots=(BotConfig("counter", "nonsense"),)), "42:sandbox-counter"),
        (SandboxConfig(bots=(BotConfig("no spaces", "42:x"),)), "letters"),
        (SandboxConfig(bots=(BotConfig("counter", "42:x", "javascript:alert(1)"),)), "http"),
        (SandboxConfig(bots=(BOT, BotConfig("other", "42:another"))), "same bot id"),
        (SandboxConfig(bots=(BOT, BotConfig("counter", "43:another"))), "same name"),
    ],
)
def test_refused(config, text):
    with pytest.raises(ConfigError, match=text) as caught:
        config.check()
    assert "\n" not in str(caught.value)
    assert REAL not in str(caught.value), "a token is never repeated"


def test_allowed_when_told():
    SandboxConfig(host="0.0.0.0", allow_remote=True).check()
    SandboxConfig(bots=(BotConfig("counter", REAL),), allow_real_token=True).check()


def test_config_file(tmp_path):
    path = tmp_path / "sandbox.json"
    bot = {"name": "counter", "token": "42:x", "url": "http://127.0.0.1:1/", "short_name": "counter"}
    path.write_text(json.dumps({"host": "127.0.0.1", "port": 5, "bots": [bot]}))
    assert load(path) == SandboxConfig(port=5, bots=(BotConfig(**bot),))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("{", "Invalid JSON"),
        ("[]", "object"),
        ('{"prot": 1}', "prot: "),
        ('{"bots": [{"nmae": "x"}]}', "bots.0.nmae: "),
        ('{"bots": [{"name": "x"}]}', "bots.0.token: "),
        ('{"bots": ["x"]}', "bots.0: "),
        ('{"port": "8083"}', "port: .*integer"),
    ],
)
def test_config_file_mistakes(tmp_path, content, text):
    path = tmp_path / "sandbox.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=text):
        load(path)


def test_config_file_missing(tmp_path):
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.json")


def test_app_flag():
    (bot,) = parse_app(["counter=42:x,http://127.0.0.1:8080/?a=1,2"])
    assert (bot.name, bot.token, bot.url) == ("counter", "42:x", "http://127.0.0.1:8080/?a=1,2")
    with pytest.raises(ConfigError, match="--app takes"):
        parse_app(["counter"])


@pytest.mark.parametrize(
    ("netloc", "loopback"),
    [
        ("127.0.0.1:8083", True), ("localhost", True), ("[::1]:80", True), ("127.8.9.1", True), ("LOCALHOST:1", True),
        ("evil.example:8083", False), ("127.0.0.1.evil.example", False), ("0.0.0.0:1", False), ("", False),
        ("localhost.evil.example", False),
    ],
)  # fmt: skip
def test_loopback(netloc, loopback):
    assert is_loopback(without_port(netloc)) is loopback
