"""Launch data: the published and generated vectors, the policy edge by edge, and properties of any string."""

import contextlib
import hashlib
import hmac
import json
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from mini_apps.testing import sign_init_data
from shared.init_data import (
    InitData,
    InitDataError,
    validate,
    validate_login_widget,
    validate_signature,
    webapp_key,
)

VECTORS = Path(__file__).parents[1] / "vectors"
INIT_DATA = json.loads((VECTORS / "init_data.json").read_text("utf-8"))
LOGIN_WIDGET = json.loads((VECTORS / "login_widget.json").read_text("utf-8"))
REASONS = {
    "missing hash": "hash",
    "missing auth_date": "auth_date",
    "future auth_date": "future",
    "utf8": "encoding",
    "control character": "encoding",
    "duplicate key": "duplicate",
    "duplicate key / hash": "duplicate",
    "user json": "user",
    "missing signature": "signature",
    "non-canonical base64": "signature",
}

TOKEN = "7000000001:AAE-generated_test_token_0123456789abc"
KEY = webapp_key(TOKEN)
NOW = 1_790_000_000
PRIVATE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC_KEY = PRIVATE_KEY.public_key().public_bytes_raw()
BOT_ID = 7_000_000_001
ADA = {"id": 1001, "first_name": "Ada", "photo_url": "https://t.me/i/userpic/320/x.svg"}

any_speed = settings(deadline=None)  # a busy machine is no failure

# What Telegram may sign: any text without control characters, U+FFFD and lone surrogates.
plain_text = st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufffd"), max_size=30)
TAKEN = {"hash", "auth_date", "user", "signature", "bot_id", "private_key"}  # by the helper's own arguments, too
field_names = plain_text.filter(lambda name: name not in TAKEN)


def sign_lines(*pairs: str, **options: str) -> str:
    """Sign already encoded `key=value` segments over their decoded lines, whatever they hold."""
    decoded = [tuple(parse_qsl(pair, keep_blank_values=True)[0]) for pair in pairs]
    lines = "\n".join(sorted(f"{key}={value}" for key, value in decoded))
    digest = hmac.digest(KEY, lines.encode(), "sha256").hex()
    return "&".join([*pairs, f"{options.get('hash_key', 'hash')}={digest}"])


def reason_of(raw: object, **options: object) -> str:
    with pytest.raises(InitDataError) as caught:
        validate(raw, KEY, **{"now": NOW, **options})
    return caught.value.reason


def signed_user(text: str) -> str:
    return sign_lines(f"auth_date={NOW}", f"user={quote(text, safe='')}")


class TestVectors:
    @pytest.mark.parametrize("case", INIT_DATA, ids=lambda case: case["name"])
    def test_every_verdict_and_reason(self, case):
        def check() -> InitData:
            limits = {"now": case["now"], "max_age": case["max_age"]}
            if case["kind"] == "hmac":
                return validate(case["init_data"], webapp_key(case["token"]), **limits)
            if "public_key" in case:
                limits["public_key"] = bytes.fromhex(case["public_key"])
            return validate_signature(case["init_data"], case["bot_id"], **limits)

        if case["expect"] == "valid":
            assert check().auth_date <= case["now"]
            return
        with pytest.raises(InitDataError) as caught:
            check()
        assert caught.value.reason == REASONS.get(case["reason"], case["reason"])

    @pytest.mark.parametrize("case", LOGIN_WIDGET)
    def test_login_widget(self, case):
        if case["expect"] == "valid":
            assert validate_login_widget(case["data"], case["token"], max_age=None)["id"] == "42"
            return
        with pytest.raises(InitDataError) as caught:
            validate_login_widget(case["data"], case["token"], max_age=None)
        assert caught.value.reason == "hash"


class TestShape:
    @pytest.mark.parametrize("raw", [None, 5, b"hash=x", {"hash": "x"}, ["hash=x"], "", "&", "="[:0]])
    def test_what_is_no_query_string(self, raw):
        assert reason_of(raw) == "format"

    def test_empty_segments_and_segments_without_equals(self):
        raw = sign_init_data(TOKEN, auth_date=NOW, user=ADA)
        for broken in (raw + "&", "&" + raw, raw.replace("&", "&&", 1), raw + "&flag", "?" + raw):
            assert reason_of(broken) == "format"

    def test_an_encoded_question_mark_is_a_key_like_any_other(self):
        assert validate(sign_lines("%3Fa=1", f"auth_date={NOW}"), KEY, now=NOW).fields["?a"] == "1"

    def test_empty_values_are_kept_and_hashed(self):
        raw = sign_lines("start_param=", f"auth_date={NOW}")
        assert validate(raw, KEY, now=NOW).start_param == ""
        assert reason_of(raw.replace("start_param=&", "")) == "hash"

    def test_only_the_first_equals_sign_parts_key_and_value(self):
        assert validate(sign_lines("start_param=a=b=", f"auth_date={NOW}"), KEY, now=NOW).start_param == "a=b="

    def test_a_plus_is_a_space_in_keys_and_values(self):
        raw = sign_lines("a+b=c+d", "e=%2B", f"auth_date={NOW}")
        assert {"a b": "c d", "e": "+"}.items() <= dict(validate(raw, KEY, now=NOW).fields).items()

    def test_broken_percent_signs_are_kept(self):
        raw = sign_lines("a=100%", "b=%2", "c=%%41", f"auth_date={NOW}")
        assert validate(raw, KEY, now=NOW).to_dict() == {"a": "100%", "b": "%2", "c": "%A", "auth_date": str(NOW)}

    @pytest.mark.parametrize("twice", ["auth_date", "%61uth_date", "hash", "has%68", "query_id"])
    def test_a_key_that_is_there_twice_after_decoding(self, twice):
        raw = sign_init_data(TOKEN, auth_date=NOW, query_id="q")
        assert reason_of(f"{raw}&{twice}={raw[-64:]}") == "duplicate"


class TestCharacters:
    @pytest.mark.parametrize(
        "bad", ["%00", "%09", "%0A", "%0D", "%1F", "%7F", "%C2%85", "%C2%9F", "%EF%BF%BD", "\ufffd"]
    )
    def test_control_and_replacement_characters_though_signed(self, bad):
        assert reason_of(sign_lines(f"start_param=a{bad}", f"auth_date={NOW}")) == "encoding"
        assert reason_of(sign_lines(f"a{bad}=1", f"auth_date={NOW}")) == "encoding"

    @pytest.mark.parametrize("bad", ["%FF", "%C3", "%ED%A0%80", "%C0%80", "%F4%90%80%80", "\ud83d"])
    def test_what_is_not_utf8(self, bad):
        assert reason_of(f"start_param={bad}&auth_date={NOW}&hash={'0' * 64}") == "encoding"

    @pytest.mark.parametrize("good", ["\u00a0", "\u200d", "\u2028", "\ufeff", "\ufffe", "\U0010ffff"])
    def test_other_characters_pass(self, good):
        assert validate(sign_init_data(TOKEN, auth_date=NOW, a=good), KEY, now=NOW).fields["a"] == good


class TestHash:
    @pytest.mark.parametrize(
        "change",
        [
            str.upper,
            lambda h: h[:-1],
            lambda h: h + "0",
            lambda h: h + "%0A",
            lambda h: h + "+",
            lambda h: "%C3%A9" * 64,
            lambda h: "%FF" * 64,
            lambda h: "",
            lambda h: "\uff10" * 64,
        ],
    )
    def test_anything_but_64_lowercase_hex_digits(self, change):
        raw = sign_init_data(TOKEN, auth_date=NOW, user=ADA)
        assert reason_of(raw[:-64] + change(raw[-64:])) == "hash"
        assert validate(raw, KEY, now=NOW).telegram_id == 1001

    def test_without_hash(self):
        assert reason_of(f"auth_date={NOW}") == "hash"

    def test_the_signature_is_hashed_too(self):
        raw = sign_init_data(TOKEN, auth_date=NOW, signature="abc")
        assert validate(raw, KEY, now=NOW).auth_date == NOW
        assert reason_of(raw.replace("signature=abc", "signature=abd")) == "hash"

    def test_the_proofs_do_not_travel_on(self):
        data = validate(sign_init_data(TOKEN, auth_date=NOW, signature="abc"), KEY, now=NOW)
        assert data.to_dict() == {"auth_date": str(NOW)}
        assert data == InitData.from_fields(data.fields)


class TestAuthDate:
    @pytest.mark.parametrize(
        "bad", ["", "+5", "%2B5", "-5", "5.0", "1_790_000_000", "0x5", "%205", "5%C2%A0", "%D9%A5"]
    )
    def test_anything_but_ascii_digits(self, bad):
        assert reason_of(sign_lines(f"auth_date={bad}"), max_age=None) == "auth_date"

    @pytest.mark.parametrize("digits", [str(NOW + 61), "9" * 19, "9" * 30, "9" * 9000])
    def test_the_future(self, digits):
        assert reason_of(sign_lines(f"auth_date={digits}")) == "future"
        assert reason_of(sign_lines(f"auth_date={digits}"), max_age=0) == "future"

    def test_missing_though_signed(self):
        assert reason_of(sign_init_data(TOKEN, auth_date=None, query_id="q")) == "auth_date"

    def test_limits_are_inclusive(self):
        assert validate(sign_init_data(TOKEN, auth_date=NOW + 60), KEY, now=NOW)
        raw = sign_init_data(TOKEN, auth_date=NOW)
        assert validate(raw, KEY, now=NOW + 86_400)
        assert reason_of(raw, now=NOW + 86_400.5) == "expired"
        assert reason_of(raw, now=NOW + 11, max_age=10) == "expired"

    @pytest.mark.parametrize("off", [0, None])
    def test_no_age_check(self, off):
        assert validate(sign_init_data(TOKEN, auth_date=0), KEY, now=NOW, max_age=off).auth_date == 0

    def test_the_clock_is_the_default(self):
        assert validate(sign_init_data(TOKEN, user=ADA), KEY)
        with pytest.raises(InitDataError) as caught:
            validate(sign_init_data(TOKEN, auth_date=1_600_000_000), KEY)
        assert caught.value.reason == "expired"

    def test_a_forged_date_is_a_wrong_hash_not_an_old_one(self):
        assert reason_of(sign_init_data("1:other", auth_date=5)) == "hash"


class TestObjects:
    @pytest.mark.parametrize(
        "bad", ["", "{bad}", "[]", "null", "5", '"a"', '{"id":NaN}', "{} {}", "[" * 9000, '{"a":"\\ud83d"}']
    )
    def test_a_user_that_is_no_json_object(self, bad):
        assert reason_of(signed_user(bad)) == "user"

    @pytest.mark.parametrize(
        ("text", "identifier"), [('{"id":4503599627370495}', 2**52 - 1), ('{"id":"5"}', None), ("{}", None)]
    )
    def test_telegram_id(self, text, identifier):
        assert validate(signed_user(text), KEY, now=NOW).telegram_id == identifier

    def test_boolean_id_is_no_id(self):
        assert validate(signed_user('{"id":true}'), KEY, now=NOW).telegram_id is None

    def test_every_field_is_read(self):
        chat = {"id": -100, "type": "supergroup", "title": "T & Co = 100%"}
        sent = {"query_id": "q", "chat_type": "group", "chat_instance": "-3", "start_param": "ref_42"}
        raw = sign_init_data(TOKEN, auth_date=NOW, user=ADA, receiver={"id": 2}, chat=chat, **sent)
        data = validate(raw, KEY, now=NOW)
        assert (data.user, data.chat, data.receiver) == (ADA, chat, {"id": 2})
        assert (data.query_id, data.chat_type, data.chat_instance, data.start_param) == ("q", "group", "-3", "ref_42")
        assert data.to_dict() == {**sent, "auth_date": str(NOW), "user": ADA, "chat": chat, "receiver": {"id": 2}}

    def test_without_user(self):
        data = validate(sign_init_data(TOKEN, auth_date=NOW, chat="odd"), KEY, now=NOW)
        assert (data.user, data.telegram_id, data.chat, data.receiver, data.start_param) == (None,) * 5
        assert data.to_dict() == {"auth_date": str(NOW), "chat": "odd"}

    def test_its_text_shows_no_launch_data(self):
        data = validate(sign_init_data(TOKEN, auth_date=NOW, user=ADA, query_id="secret"), KEY, now=NOW)
        assert "Ada" not in repr(data)
        assert "secret" not in repr(data)


class TestSignature:
    def signed(self, **fields: object) -> str:
        return sign_init_data(TOKEN, **{"private_key": PRIVATE_KEY, "auth_date": NOW, "user": ADA, **fields})

    def check(self, raw: str, **options: object) -> InitData:
        return validate_signature(raw, BOT_ID, **{"public_key": PUBLIC_KEY, "now": NOW, **options})

    def refused(self, raw: str, **options: object) -> str:
        with pytest.raises(InitDataError) as caught:
            self.check(raw, **options)
        return caught.value.reason

    def test_both_proofs_in_one_string(self):
        assert self.check(self.signed()) == validate(self.signed(), KEY, now=NOW)

    def test_keys_and_bot_ids_as_text_or_not(self):
        raw = self.signed(private_key=bytes(range(32)))
        assert validate_signature(raw, str(BOT_ID), public_key=PUBLIC_KEY.hex(), now=NOW).user == ADA
        with pytest.raises(InitDataError):
            validate_signature(raw, BOT_ID + 1, public_key=PUBLIC_KEY, now=NOW)
        with pytest.raises(InitDataError):
            validate_signature(raw, BOT_ID, now=NOW)
        assert self.check(self.signed(bot_id=BOT_ID))

    def test_padding_is_accepted_other_spellings_are_not(self):
        several = [dict(parse_qsl(self.signed(query_id=str(n)))) for n in range(9)]
        fields = next(one for one in several if {"-", "_"} <= set(one["signature"]))
        signature = fields.pop("signature")
        standard = signature.replace("-", "+").replace("_", "/")

        def spelt(text: str) -> str:
            return urlencode({**fields, "signature": text})

        assert self.check(spelt(signature + "=="))
        assert self.check(f"{urlencode(fields)}&signature={signature}==")
        for wrong in (
            standard,
            signature + "=",
            signature + "===",
            signature[:-1],
            signature + "A",
            signature + " ",
            "",
        ):
            assert self.refused(spelt(wrong)) == "signature"

    def test_only_one_last_character_is_canonical(self):
        raw = sign_init_data(TOKEN, private_key=PRIVATE_KEY, auth_date=NOW).split("&hash=")[0]
        accepted = []
        for last in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_":
            with contextlib.suppress(InitDataError):
                self.check(raw[:-1] + last)
                accepted.append(last)
        assert accepted == [raw[-1]]

    def test_the_hash_may_be_missing_or_wrong_but_not_malformed(self):
        raw = self.signed()
        assert self.check(raw[: -len("&hash=") - 64])
        assert self.check(raw[:-64] + "0" * 64)
        assert self.refused(raw[:-64] + "z" * 64) == "hash"
        assert self.refused(raw[:-64] + "A" * 64) == "hash"

    def test_the_rest_of_the_policy_holds(self):
        raw = self.signed()
        assert self.refused(raw, now=NOW + 86_401) == "expired"
        assert self.refused(raw, now=NOW - 61) == "future"
        assert self.refused(raw + "&") == "format"
        assert self.refused(f"{raw}&auth_date={NOW}") == "duplicate"
        assert self.refused(self.signed(user="[]")) == "user"
        assert self.refused(self.signed(auth_date=None)) == "auth_date"
        assert self.refused(self.signed(auth_date="soon")) == "auth_date"
        assert self.refused(self.signed(query_id="a\nb")) == "encoding"

    def test_a_public_key_that_is_none(self):
        with pytest.raises(ValueError, match="32 bytes"):
            validate_signature(self.signed(), BOT_ID, public_key=b"short")


class TestLoginWidget:
    def fields(self, **changes: object) -> dict[str, object]:
        fields = {"id": 42, "first_name": "Ada", "auth_date": NOW, **changes}
        lines = "\n".join(sorted(f"{key}={value}" for key, value in fields.items()))
        digest = hmac.digest(hashlib.sha256(TOKEN.encode()).digest(), lines.encode(), "sha256").hex()
        return {**fields, "hash": digest}

    def refused(self, fields: dict[str, object], now: float = NOW) -> str:
        with pytest.raises(InitDataError) as caught:
            validate_login_widget(fields, TOKEN, now=now)
        return caught.value.reason

    def test_numbers_may_be_numbers(self):
        assert validate_login_widget(self.fields(), TOKEN, now=NOW) == {
            "id": "42",
            "first_name": "Ada",
            "auth_date": str(NOW),
        }

    def test_refusals(self):
        assert self.refused(self.fields(), now=NOW + 86_401) == "expired"
        assert self.refused(self.fields(), now=NOW - 61) == "future"
        assert self.refused({**self.fields(), "id": 43}) == "hash"
        assert self.refused({**self.fields(), "hash": "A" * 64}) == "hash"
        assert self.refused({"id": "42"}) == "hash"
        assert self.refused(self.fields(auth_date="soon")) == "auth_date"
        assert self.refused(self.fields(first_name="a\nb")) == "encoding"
        assert self.refused(self.fields(first_name=None)) == "format"
        assert self.refused(self.fields(is_bot=True)) == "format"
        without = {key: value for key, value in self.fields().items() if key != "auth_date"}
        assert self.refused(without) == "hash"
        fields = {"id": "42"}
        digest = hmac.digest(hashlib.sha256(TOKEN.encode()).digest(), b"id=42", "sha256").hex()
        assert self.refused({**fields, "hash": digest}) == "auth_date"


class TestSignInitData:
    def test_json_as_telegram_writes_it(self):
        raw = sign_init_data(TOKEN, auth_date=5, user={"id": 1, "first_name": "Жук", "photo_url": "https://t.me/x"})
        assert dict(parse_qsl(raw))["user"] == r'{"id":1,"first_name":"Жук","photo_url":"https:\/\/t.me\/x"}'
        assert " " not in raw
        assert "+" not in raw

    def test_mistakes(self):
        with pytest.raises(ValueError, match="hash"):
            sign_init_data(TOKEN, hash="x")
        with pytest.raises(ValueError, match="signature"):
            sign_init_data(TOKEN, signature="x", private_key=PRIVATE_KEY)


class TestProperties:
    @any_speed
    @given(st.text() | st.text("=&%+0123456789abcdefhsuer_"))
    def test_any_string_is_refused_with_a_reason(self, raw):
        for check in (lambda: validate(raw, KEY), lambda: validate_signature(raw, BOT_ID)):
            with pytest.raises(InitDataError) as caught:
                check()
            assert caught.value.reason

    @any_speed
    @given(
        st.lists(
            st.sampled_from(["%", "%22", "%3A", "%2C", "%5C", "%2F", "%20", "%C3", "%41", "+", "2", "C", "é", '"'])
        )
    )
    def test_values_are_decoded_as_every_form_decoder_does(self, pieces):
        value = "%22" + "".join(pieces)
        raw = sign_lines(f"start_param={value}", f"auth_date={NOW}")
        decoded = parse_qsl(raw)[0][1]
        if "\ufffd" in decoded:
            assert reason_of(raw) == "encoding"
        else:
            assert validate(raw, KEY, now=NOW).start_param == decoded

    @any_speed
    @given(st.text() | st.recursive(st.none() | st.integers() | st.text(), st.lists).map(json.dumps))
    def test_any_signed_user_is_read_or_refused(self, text):
        try:
            raw = sign_init_data(TOKEN, auth_date=NOW, user=text)
        except UnicodeEncodeError:
            return
        try:
            assert validate(raw, KEY, now=NOW).user == json.loads(text)
        except InitDataError as error:
            refusal = error.reason
        else:
            return
        assert refusal in {"user", "encoding"}

    @any_speed
    @given(st.dictionaries(field_names, plain_text, max_size=6), st.dictionaries(plain_text, plain_text))
    def test_what_is_signed_is_read_back(self, fields, user):
        raw = sign_init_data(TOKEN, auth_date=NOW, user=user, private_key=PRIVATE_KEY, **fields)
        data = validate(raw, KEY, now=NOW)
        assert data == validate_signature(raw, BOT_ID, public_key=PUBLIC_KEY, now=NOW)
        assert data.user == user
        assert {name: data.fields[name] for name in fields} == fields

    @any_speed
    @given(st.data())
    def test_a_single_changed_character_is_refused(self, data):
        raw = sign_init_data(TOKEN, auth_date=NOW, user=ADA, start_param="a b+c", query_id="%41")
        at = data.draw(st.integers(0, len(raw) - 1))
        changed = raw[:at] + data.draw(st.characters() | st.sampled_from("&=%+0aA")) + raw[at + 1 :]
        same = sorted(parse_qsl(changed, keep_blank_values=True)) == sorted(parse_qsl(raw, keep_blank_values=True))
        if same:
            assert validate(changed, KEY, now=NOW).user == ADA
        else:
            assert reason_of(changed)
