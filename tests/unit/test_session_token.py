"""Session tokens and channel grants."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.init_data import InitData, webapp_key
from shared.session_token import MAX_TOKEN, Session, SessionError, SessionKeys, derive_key

any_speed = settings(deadline=None)  # a busy machine is no failure

KEY = derive_key(webapp_key("123:abc"))
KEYS = SessionKeys([KEY])
OTHER = SessionKeys([b"o" * 32])
LAUNCH = {"auth_date": "1790000000", "user": '{"id":1001,"first_name":"Ада"}', "start_param": "ref_42"}
SESSION = Session(app="counter", telegram_id=1001, launch=LAUNCH, issued=1000, first_login=500)
LIMITS = {"app": "counter", "now": 1000, "ttl": 3600, "max_age": 86_400}


def refusal(token: object, keys: SessionKeys = KEYS, **options: object) -> str:
    with pytest.raises(SessionError) as caught:
        keys.open(token, **{**LIMITS, **options})
    assert caught.value.reason == "session"
    return str(caught.value)


class TestToken:
    def test_it_says_what_was_sealed(self):
        session = KEYS.open(KEYS.seal(SESSION), **LIMITS)
        assert session == SESSION
        assert InitData.from_fields(session.launch).user == {"id": 1001, "first_name": "Ада"}

    def test_two_tokens_of_one_session_differ(self):
        assert KEYS.seal(SESSION) != KEYS.seal(SESSION)
        assert KEYS.seal(SESSION, nonce=bytes(12)) == KEYS.seal(SESSION, nonce=bytes(12))

    def test_the_first_key_seals_and_all_open(self):
        both = SessionKeys([b"n" * 32, KEY])
        assert both.open(KEYS.seal(SESSION), **LIMITS) == SESSION
        assert SessionKeys([b"n" * 32]).open(both.seal(SESSION), **LIMITS) == SESSION
        assert "retired" in refusal(both.seal(SESSION), KEYS)

    def test_another_key_or_app_does_not_open_it(self):
        assert "another app" in refusal(KEYS.seal(SESSION), app="other")
        assert "changed" in refusal(KEYS.seal(SESSION), OTHER)

    def test_life_of_a_token(self):
        token = KEYS.seal(SESSION)
        assert KEYS.open(token, **{**LIMITS, "now": 4600}) == SESSION
        assert "expired" in refusal(token, now=4600.5)
        assert KEYS.open(token, **{**LIMITS, "now": 4601, "ttl": 0}) == SESSION

    def test_life_of_a_session_from_its_first_login(self):
        token = KEYS.seal(dataclasses.replace(SESSION, issued=86_000))
        assert KEYS.open(token, **{**LIMITS, "now": 86_900})
        assert "expired" in refusal(token, now=86_901)
        assert KEYS.open(token, **{**LIMITS, "now": 86_901, "max_age": 0})

    def test_clocks_may_differ_by_a_minute(self):
        assert KEYS.open(KEYS.seal(SESSION), **{**LIMITS, "now": 940})
        assert "future" in refusal(KEYS.seal(SESSION), now=939)

    def test_when_it_expires(self):
        assert SESSION.expires(ttl=3600, max_age=86_400) == 4600
        assert SESSION.expires(ttl=3600, max_age=600) == 1100
        assert SESSION.expires(ttl=0, max_age=0) == float("inf")

    @pytest.mark.parametrize(
        "token", [None, 5, b"x", "", "a", "ж", "=", "AA==", "AQ", "Ag" + "A" * 60, "A" * (MAX_TOKEN + 1)]
    )
    def test_what_is_no_token(self, token):
        assert refusal(token)

    def test_padding_is_another_spelling(self):
        token = KEYS.seal(SESSION)
        assert len(token) % 4
        assert refusal(token + "=" * (-len(token) % 4))

    def test_its_length_is_bounded(self):
        with pytest.raises(ValueError, match="too long"):
            KEYS.seal(dataclasses.replace(SESSION, launch={"user": "x" * MAX_TOKEN}))

    def test_it_shows_nothing(self):
        assert "ref_42" not in repr(SESSION)
        assert "1001" not in KEYS.seal(SESSION)

    @any_speed
    @given(st.integers(0, 10_000), st.characters())
    def test_a_changed_character_is_refused(self, at, character):
        token = KEYS.seal(SESSION, nonce=bytes(12))
        at %= len(token)
        changed = token[:at] + character + token[at + 1 :]
        if changed == token:
            assert KEYS.open(changed, **LIMITS) == SESSION
        else:
            assert refusal(changed)

    @any_speed
    @given(st.text())
    def test_any_text_is_refused(self, text):
        assert refusal(text)

    @any_speed
    @given(
        st.dictionaries(
            st.text(st.characters(exclude_categories=("Cs",))), st.text(st.characters(exclude_categories=("Cs",)))
        )
    )
    def test_any_launch_fields_come_back(self, launch):
        session = dataclasses.replace(SESSION, launch=launch)
        assert KEYS.open(KEYS.seal(session), **LIMITS) == session


class TestKeys:
    def test_an_app_without_keys_derives_one(self):
        assert len(KEY) == 32
        assert derive_key(webapp_key("123:abc")) == KEY
        assert derive_key(webapp_key("123:abd")) != KEY

    def test_mistakes(self):
        with pytest.raises(ValueError, match="none given"):
            SessionKeys([])
        with pytest.raises(ValueError, match="number 2 is shorter"):
            SessionKeys([KEY, b"short"])


WHO = {"app": "counter", "telegram_id": 1001, "channel": "game:42"}


class TestGrant:
    def test_it_lets_this_user_into_this_channel_until_it_expires(self):
        grant = KEYS.grant("counter", 1001, "game:42", 2000)
        assert KEYS.check_grant(grant, **WHO, now=2000)
        assert not KEYS.check_grant(grant, **WHO, now=2000.5)
        for other in ({"app": "count"}, {"telegram_id": 1002}, {"channel": "game:43"}):
            assert not KEYS.check_grant(grant, **{**WHO, **other}, now=1000)
        assert not OTHER.check_grant(grant, **WHO, now=1000)

    def test_no_letter_moves_between_app_and_channel(self):
        grant = KEYS.grant("counter", 1001, "game:42", 2000)
        assert not KEYS.check_grant(grant, app="counterg", telegram_id=1001, channel="ame:42", now=1000)

    def test_a_longer_life_is_another_grant(self):
        mac = KEYS.grant("counter", 1001, "game:42", 2000).partition(".")[2]
        assert not KEYS.check_grant(f"3000.{mac}", **WHO, now=1000)
        assert not KEYS.check_grant(f"02000.{mac}", **WHO, now=1000)

    def test_all_keys_check(self):
        grant = KEYS.grant("counter", 1001, "game:42", 2000)
        assert SessionKeys([b"n" * 32, KEY]).check_grant(grant, **WHO, now=1000)

    @pytest.mark.parametrize(
        "grant", [None, 5, "", ".", "2000", "2000.", "\uff19." + "A" * 22, "9" * 5000 + ".x", "2000.é"]
    )
    def test_what_is_no_grant(self, grant):
        assert KEYS.check_grant(grant, **WHO, now=1000) is False

    @any_speed
    @given(st.text())
    def test_any_channel_name_is_judged(self, channel):
        grant = KEYS.grant("counter", 1001, channel, 2000)
        assert KEYS.check_grant(grant, app="counter", telegram_id=1001, channel=channel, now=1000)
        assert not KEYS.check_grant(grant, app="counter", telegram_id=1001, channel=channel + "x", now=1000)
