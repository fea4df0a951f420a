"""``/ws/events/`` from the handshake on: who gets in, what is said, what arrives, and how it ends."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group, Permission
from django.contrib.sessions.models import Session
from django.db import DatabaseError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from config.access.models import ApiToken
from config.sockets import ExactOrigin, SignedIn, origin_allowed
from events import api, consumers, hub, journal, live, policy
from events.consumers import EventsConsumer
from events.feed import Feed
from tests.events.berths import amoved
from tests.events.conftest import Socket
from tests.fakes.redis_process import RedisProcess

pytestmark = pytest.mark.django_db(transaction=True)
Connect = Callable[..., Any]


def _impatient(**how: float) -> Any:
    """The whole middleware around a consumer with other times."""
    return ExactOrigin(SignedIn(EventsConsumer.as_asgi(**how)))


async def test_a_replay_from_the_cursor_precedes_the_live_part(connect: Connect) -> None:
    for n in range(3):
        await amoved("a", n=n)
    socket = await connect()
    await socket.say(type="subscribe", topics=["berth.a"], after={"berth.a": 1})
    assert await socket.hear() == {"type": "subscribed", "topics": ["berth.a"], "cursors": {"berth.a": 1}}
    await amoved("a", n=3)
    heard = await socket.hear_until("berth.a", 4)
    assert [(m["seq"], m["payload"]["berth"]["n"]) for m in heard] == [(2, 1), (3, 2), (4, 3)]
    assert heard[0]["payload"]["kind"] == "berth.moved"


async def test_without_a_cursor_it_starts_at_the_end_and_says_where_that_is(connect: Connect) -> None:
    await amoved("a")
    await amoved("a")
    socket = await connect()
    await socket.say(type="subscribe", topics=["berth.a", "berth.b"])
    assert (await socket.hear())["cursors"] == {"berth.a": 2, "berth.b": 0}
    await amoved("b")
    assert [(m["topic"], m["seq"]) for m in await socket.hear_until("berth.b", 1)] == [("berth.b", 1)]


async def test_batches_come_to_those_who_ask_for_them(connect: Connect) -> None:
    for n in range(30):
        await amoved("a", n=n)
    socket = await connect()
    await socket.say(type="subscribe", topics=["berth.a"], after={"berth.a": 0}, batch=True)
    assert (await socket.hear())["type"] == "subscribed"
    frame = await socket.hear()
    assert frame["type"] == "batch"
    assert [m["seq"] for m in frame["messages"]] == list(range(1, 31))


async def test_a_batch_stays_below_a_mebibyte_as_client_libraries_want_it(connect: Connect) -> None:
    for n in range(10):
        await amoved("a", n=n, text="€" * 60_000)
    socket = await connect()
    await socket.say(type="subscribe", topics=["berth.a"], after={"berth.a": 0}, batch=True)
    await socket.hear()
    heard: list[dict[str, Any]] = []
    while len(heard) < 10:
        output = await socket.receive_output(5)
        assert len(output["text"].encode()) < 1 << 20
        frame = json.loads(output["text"])
        heard += frame["messages"] if frame["type"] == "batch" else [frame]
    assert [message["seq"] for message in heard] == list(range(1, 11))


async def test_what_a_user_may_not_see_is_refused_per_topic(connect: Connect) -> None:
    socket = await connect()
    await socket.say(type="subscribe", topics=["berth.secret", "berth.a", "no topic", "unheard_of.1", "access.1"])
    errors = [await socket.hear() for _ in range(4)]
    assert {(e["topic"], e["code"]) for e in errors} == {
        ("berth.secret", "topic.refused"),
        ("unheard_of.1", "topic.refused"),
        ("access.1", "topic.refused"),
        ("no topic", "topic.invalid"),
    }
    assert (await socket.hear())["topics"] == ["berth.a"]
    await amoved("secret")
    await amoved("a")
    assert [m["topic"] for m in await socket.hear_until("berth.a", 1)] == ["berth.a"]


async def test_after_unsubscribing_nothing_arrives(connect: Connect) -> None:
    socket = await connect()
    await socket.say(type="subscribe", topics=["berth.a", "berth.b"])
    await socket.hear()
    await socket.say(type="unsubscribe", topics=["berth.a", "berth.never"])
    assert await socket.hear() == {"type": "unsubscribed", "topics": ["berth.a"]}
    await amoved("a")
    await amoved("b")
    assert [m["topic"] for m in await socket.hear_until("berth.b", 1)] == ["berth.b"]


async def test_a_socket_that_breaks_leaves_nothing_in_the_hub(live_redis: RedisProcess, user: Any) -> None:
    frames: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def gone(message: dict[str, Any]) -> None:
        if message["type"] == "websocket.send":
            raise ConnectionResetError

    scope = {"type": "websocket", "user": user, "still_signed_in": lambda: user}
    frames.put_nowait({"type": "websocket.connect"})
    frames.put_nowait({"type": "websocket.receive", "text": '{"type":"subscribe","topics":["berth.a"]}'})
    with pytest.raises(ConnectionResetError):
        await EventsConsumer.as_asgi()(scope, frames.get, gone)
    assert hub.of_loop().topics == frozenset()


async def test_a_closed_socket_leaves_nothing_in_the_hub(connect: Connect) -> None:
    first, second = await connect(), await connect()
    for socket in (first, second):
        await socket.say(type="subscribe", topics=["berth.a"])
        await socket.hear()
    assert "berth.a" in hub.of_loop().topics
    await first.leave()
    assert "berth.a" in hub.of_loop().topics
    await second.leave()
    assert hub.of_loop().topics == frozenset()


async def test_a_ping_is_answered(connect: Connect) -> None:
    socket = await connect()
    await socket.say(type="ping")
    assert await socket.hear() == {"type": "pong"}


async def test_topics_beyond_two_hundred_are_refused_one_by_one(connect: Connect) -> None:
    socket = await connect()
    await socket.say(type="subscribe", topics=[f"berth.{n}" for n in range(199)])
    await socket.hear()
    await socket.say(type="subscribe", topics=["berth.0", "berth.x", "berth.y"])
    assert (await socket.hear())["topic"] == "berth.y"
    assert (await socket.hear())["topics"] == ["berth.0", "berth.x"]


async def test_bad_frames_are_answered_and_the_twentieth_ends_the_socket(connect: Connect) -> None:
    socket = await connect()
    for n in range(20):
        await (socket.say_bytes(b"\xff\x00") if n % 2 else socket.say_text("{"))
        assert (await socket.hear())["code"] == "frame.malformed"
    assert await socket.closed_with() == consumers.TOO_MANY_BAD_FRAMES


async def test_a_client_that_never_answers_is_closed(connect: Connect) -> None:
    socket = await connect(application=_impatient(heartbeat_s=0.05, answer_s=0.1))
    assert await socket.closed_with() == consumers.NO_ANSWER


async def test_a_client_that_answers_stays(connect: Connect) -> None:
    socket = await connect(application=_impatient(heartbeat_s=0.05, answer_s=2.0))
    for _ in range(5):
        assert await socket.receive_output(5) == {"type": "websocket.send", "text": '{"type":"ping"}'}
        await socket.say(type="pong")
    await socket.say(type="ping")
    assert await socket.hear() == {"type": "pong"}


async def test_nobody_is_accepted_and_closed(connect: Connect) -> None:
    socket = await connect(token="", origin="http://testserver")
    assert await socket.closed_with() == consumers.SIGNED_OUT


async def test_an_unknown_token_is_not_made_good_by_a_cookie(connect: Connect, user: Any) -> None:
    socket = await connect(token="moor_unknown", cookie=await _session_of(user))
    assert await socket.closed_with() == consumers.SIGNED_OUT


async def test_a_browser_session_gets_in_and_a_logout_ends_it(connect: Connect, user: Any) -> None:
    cookie = await _session_of(user)
    socket = await connect(
        application=_impatient(heartbeat_s=0.3, answer_s=2.0),
        token="",
        origin="http://testserver",
        cookie=cookie,
    )
    await socket.say(type="subscribe", topics=["berth.a"])
    assert (await socket.hear())["type"] == "subscribed"
    await sync_to_async(Session.objects.all().delete)()
    assert await socket.closed_with() == consumers.SIGNED_OUT


async def test_a_token_that_expires_ends_its_sockets(connect: Connect, token: str) -> None:
    socket = await connect(application=_impatient(heartbeat_s=0.1, answer_s=2.0))
    expired = sync_to_async(ApiToken.objects.update)
    await expired(expires_at=timezone.now() - timedelta(seconds=1))
    assert await socket.closed_with() == consumers.SIGNED_OUT


async def test_a_revoked_permission_takes_the_topic_away_and_leaves_the_rest(connect: Connect, user: Any) -> None:
    await _change(user, is_staff=True)
    socket = await connect()
    await socket.say(type="subscribe", topics=["berth.secret", "berth.a"])
    assert (await socket.hear())["topics"] == ["berth.secret", "berth.a"]
    await _change(user, is_staff=False)
    error = await socket.hear()
    assert (error["type"], error["topic"], error["code"]) == ("error", "berth.secret", "topic.refused")
    await amoved("secret")
    await amoved("a")
    assert [m["topic"] for m in await socket.hear_until("berth.a", 1)] == ["berth.a"]


async def test_a_user_who_is_switched_off_is_put_out(connect: Connect, user: Any) -> None:
    socket = await connect()
    await _change(user, is_active=False)
    assert await socket.closed_with() == consumers.SIGNED_OUT


async def test_signing_out_and_a_revoked_token_end_their_sockets_at_once(connect: Connect, user: Any) -> None:
    await _change(user, is_staff=True)  # the console lets nobody else sign out
    client = Client()
    await sync_to_async(client.force_login)(user)
    cookie = f"sessionid={client.cookies['sessionid'].value}"
    by_token, by_cookie = await connect(), await connect(token="", origin="http://testserver", cookie=cookie)
    await sync_to_async(client.post)(reverse("admin:logout"))
    assert await by_cookie.closed_with() == consumers.SIGNED_OUT
    await by_token.say(type="ping")
    assert await by_token.hear() == {"type": "pong"}, "the token is another way in"

    def revoke() -> None:
        root = Client()
        root.force_login(get_user_model().objects.create_superuser("root"))
        chosen = [ApiToken.objects.get().pk]
        root.post(reverse("admin:access_apitoken_changelist"), {"action": "revoke", "_selected_action": chosen})

    await sync_to_async(revoke)()
    assert await by_token.closed_with() == consumers.SIGNED_OUT


async def test_a_topic_that_is_lost_without_a_word_goes_with_the_next_heartbeat(connect: Connect, user: Any) -> None:
    """Rights may hang on rows of any room: whose project it is, for one."""
    await _change(user, is_staff=True)
    socket = await connect(application=_impatient(heartbeat_s=0.2, answer_s=2.0))
    await socket.say(type="subscribe", topics=["berth.secret"])
    await socket.hear()
    await sync_to_async(get_user_model().objects.filter(pk=user.pk).update)(is_staff=False)
    assert (await socket.hear())["code"] == "topic.refused"


@pytest.mark.parametrize("how", ["joins", "leaves", "is cleared", "permission", "permissions of the group", "deleted"])
def test_whatever_changes_a_user_s_groups_or_permissions_is_told(user: Any, how: str) -> None:
    group, permission = Group.objects.create(name="crew"), Permission.objects.all()[0]
    user.groups.add(group)
    before = journal.head(policy.access_topic(user))
    changes: dict[str, Callable[[], Any]] = {
        "joins": lambda: group.user_set.add(get_user_model().objects.create(username="eve"), user),
        "leaves": lambda: group.user_set.remove(user),
        "is cleared": lambda: group.user_set.clear(),
        "permission": lambda: user.user_permissions.set([permission]),
        "permissions of the group": lambda: permission.group_set.add(group),
        "deleted": lambda: group.delete(),
    }
    changes[how]()
    assert (journal.head(policy.access_topic(user)) > before) is (how != "joins"), "who was in already, stays"


def test_signing_in_is_no_change_of_rights(user: Any) -> None:
    Client().force_login(user)
    assert journal.head(policy.access_topic(user)) == 0


async def test_a_stream_in_which_much_happens_is_proved_again_by_the_clock(live_redis: RedisProcess, user: Any) -> None:
    signed_in = True
    stream = api._events(
        user=user, topics=("berth.a",), after={}, still_signed_in=lambda: user if signed_in else None, heartbeat_s=0.3
    )
    assert (await anext(stream)).startswith("retry:")

    async def busy() -> None:
        while True:
            await amoved("a")

    moving = asyncio.create_task(busy())
    try:
        async with asyncio.timeout(10):
            assert '"berth.moved"' in await anext(stream)
            signed_in = False
            assert "stream.signed_out" in [line async for line in stream][-1]
    finally:
        moving.cancel()
        await asyncio.wait([moving])


async def test_a_database_that_is_away_while_rights_are_proved_loses_no_event(
    live_redis: RedisProcess, user: Any
) -> None:
    answers = iter([user, DatabaseError(), user])

    def still_signed_in() -> Any:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    feed = Feed(user=user, still_signed_in=still_signed_in, hub=hub.of_loop())
    await feed.begin()
    feed.start(await feed.subscribe(["berth.a"], after={}))
    await amoved("a")
    await feed.wait()
    feed.doubt()
    try:
        with pytest.raises(DatabaseError):
            await feed.take()
        await feed.wait()
        heard = (await feed.take()).messages
        while not heard:
            await feed.wait()
            heard = (await feed.take()).messages
        assert [message.seq for message in heard] == [1]
    finally:
        feed.close()


async def test_a_revocation_reaches_the_socket_while_redis_is_dead(
    connect: Connect, user: Any, live_redis: RedisProcess
) -> None:
    socket = await connect()
    live_redis.kill()
    try:
        await _change(user, is_active=False)
        assert await socket.closed_with(timeout=8) == consumers.SIGNED_OUT
    finally:
        live_redis.start()


async def test_the_last_snapshot_is_there_on_subscribing_and_later_ones_follow(connect: Connect) -> None:
    publish = sync_to_async(live.publish_raw)
    await publish({"topic": "queue", "seq": 1, "timestamp": "T", "data": {"waiting": 1}})
    await publish({"topic": "queue", "seq": 2, "timestamp": "T", "data": {"waiting": 2}})
    socket = await connect()
    await socket.say(type="subscribe", topics=["queue"], after={"queue": 900})
    assert (await socket.hear())["type"] == "subscribed"
    assert (await socket.hear())["payload"] == {"waiting": 2}
    await publish({"topic": "queue", "seq": 3, "timestamp": "T", "data": {"waiting": 3}})
    assert (await socket.hear())["payload"] == {"waiting": 3}


async def test_entries_that_are_not_ours_do_not_stop_the_stream(connect: Connect) -> None:
    socket = await connect()
    await socket.say(type="subscribe", topics=["berth.a"])
    await socket.hear()
    entries: tuple[dict[Any, Any], ...] = (
        {"m": "{"},
        {"m": "[]"},
        {"m": '{"topic": ["x"]}'},
        {"m": '{"topic": "berth.a"}'},
        {"x": "y"},
    )
    for fields in entries:
        await sync_to_async(live.client().xadd)(live.STREAM, fields)
    await amoved("a")
    assert (await socket.hear())["seq"] == 1


async def _change(user: Any, **fields: Any) -> None:
    """As an operator does: through the form of the console."""

    def change() -> None:
        client = Client()
        client.force_login(get_user_model().objects.create_superuser(f"root-{uuid.uuid4()}"))
        address = reverse("admin:auth_user_change", args=[user.pk])
        form = client.get(address).context["adminform"].form
        shown = {**form.initial, **fields}
        data = {name: value for name, value in shown.items() if value not in (None, False, [])}
        joined = data.pop("date_joined")
        data |= {"date_joined_0": joined.date(), "date_joined_1": joined.time().replace(microsecond=0)}
        data.pop("last_login", None)
        data.pop("password", None)
        answer = client.post(address, data)
        assert answer.status_code == 302, answer.content.decode()

    await sync_to_async(change)()


async def _session_of(user: Any) -> str:
    def sign_in() -> str:
        client = Client()
        client.force_login(user)
        return f"sessionid={client.cookies['sessionid'].value}"

    return await sync_to_async(sign_in)()


@pytest.mark.parametrize(
    ("host", "origin", "expected"),
    [
        ("testserver", "http://testserver", True),
        ("testserver", "http://TESTSERVER:80", True),
        ("testserver:8000", "http://testserver:8000", True),
        ("testserver", "https://trusted.example", True),
        ("testserver", "https://trusted.example:443", True),
        ("testserver", "http://trusted.example", False),
        ("testserver", "https://sub.trusted.example", False),
        ("testserver", "https://testserver", False),
        ("testserver:8000", "http://testserver:8001", False),
        ("testserver", "http://testserver.evil.example", False),
        ("testserver", "http://evil.example#http://testserver", False),
        ("testserver", "http://testserver@evil.example", False),
        ("testserver", "http://testserver/", False),
        ("testserver", "http://testserver:port", False),
        ("testserver", "null", False),
        ("testserver", "", False),
        ("rebound.example", "http://rebound.example", False),
    ],
)
def test_only_the_exact_origin_opens_a_socket(settings: Any, host: str, origin: str, expected: bool) -> None:
    settings.CSRF_TRUSTED_ORIGINS = ["https://trusted.example"]
    headers = [(b"host", host.encode())] + ([(b"origin", origin.encode())] if origin else [])
    assert origin_allowed({"headers": headers, "scheme": "ws"}) is expected


def test_a_program_with_a_token_needs_no_origin_but_a_wrong_one_is_still_wrong() -> None:
    bearer = [(b"host", b"testserver"), (b"authorization", b"Bearer moor_x")]
    assert origin_allowed({"headers": bearer, "scheme": "ws"})
    assert not origin_allowed({"headers": [*bearer, (b"origin", b"http://evil.example")], "scheme": "ws"})
    assert not origin_allowed({"headers": [(b"host", b"testserver"), *bearer], "scheme": "ws"})


def test_behind_tls_the_origin_is_https(settings: Any) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    headers = [(b"host", b"testserver"), (b"x-forwarded-proto", b"https")]
    assert origin_allowed({"headers": [*headers, (b"origin", b"https://testserver")], "scheme": "ws"})
    assert not origin_allowed({"headers": [*headers, (b"origin", b"http://testserver")], "scheme": "ws"})


async def test_a_foreign_origin_is_refused_at_the_handshake(live_redis: RedisProcess, token: str) -> None:
    assert not await Socket(token=token, origin="http://evil.example").opened()
