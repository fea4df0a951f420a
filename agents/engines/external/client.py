"""Our side of the Agent Client Protocol, version 1: JSON-RPC over the program's input and output, without any I/O.

The program is the protocol's agent and hostile: each message is bounded and checked, and what is no message ends it.
We serve reading and writing of text files of the checkout, and permissions; terminals are declared unsupported, since
the program runs its commands in the berth itself.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from acp.meta import AGENT_METHODS, CLIENT_METHODS, PROTOCOL_VERSION
from acp.schema import (
    AgentCapabilities,
    InitializeResponse,
    NewSessionResponse,
    PromptResponse,
    ReadTextFileRequest,
    RequestPermissionRequest,
    SessionNotification,
    WriteTextFileRequest,
)
from pydantic import BaseModel, ValidationError

from agents.engines.external import permissions
from agents.engines.external.faults import (
    Flood,
    NotAuthenticated,
    NotOurProtocol,
    OtherVersion,
    PermissionAsked,
    ProgramFailed,
    ProgramRefused,
    ProgramSilent,
)
from agents.engines.external.jail import Jail
from agents.engines.external.lines import Lines, shown
from agents.engines.external.once import words_of
from agents.engines.external.permissions import Policy
from agents.engines.external.updates import Told
from events.faults import Fault

GREETING_S = 60.0  # until the session stands
CANCEL_S = 2.0  # for a program that was told to stop
LEAVE_S = 3.0  # for a program whose turn is over and whose input has ended
MOST_UNREAD = 8 << 20  # bytes of answers that the program does not take
MOST_NOISE = 20  # lines that are no messages: banners and warnings of its runtime
MOST_PERMISSIONS = 1000  # that a program asks for in one turn
_AUTH_REQUIRED = -32000
_NOT_FOUND, _NO_METHOD, _BAD_PARAMS, _INTERNAL = -32002, -32601, -32602, -32603

M = TypeVar("M", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Served:
    """What the program may ask of us: files and permissions of one checkout."""

    directory: Path
    jail: Jail
    policy: Policy


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a program is told. With ``session`` it is asked to go on with that one first, by ``go_on``."""

    text: str
    session: str = ""
    go_on: str = ""


class AcpClient:
    """One program, one session, one turn. A :class:`resources.sandboxes.protocol.Peer`.

    Without a ``prompt`` it only greets. :meth:`over` says when the program should be ended.
    """

    def __init__(
        self,
        *,
        prompt: Prompt | None,
        served: Served,
        told: Told,
        authentication: str = "",
        cancelled: Callable[[], bool] = lambda: False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._prompt, self._served, self._told = prompt, served, told
        self._authentication, self._cancelled, self._clock = authentication, cancelled, clock
        self._lines, self._noise = Lines(), 0
        self._outgoing = bytearray()
        self._waiting: dict[int, tuple[str, Callable[[Any], None], Callable[[], None] | None]] = {}
        self._asked = self._permitted = 0
        self._begun = clock()
        self._told_to_stop: float | None = None
        self._over_since: float | None = None
        self._session, self._standing = "", False  # it stands once its turn may begin
        self._able = AgentCapabilities()
        self.program, self.version = "", ""  # as it names itself
        self.stop_reason = ""
        self._ask("initialize", {
            "protocolVersion": PROTOCOL_VERSION,
            "clientCapabilities": {"fs": {"readTextFile": True, "writeTextFile": True}, "terminal": False},
            "clientInfo": {"name": "moorage", "title": "Moorage", "version": "1"},
        }, self._initialized)  # fmt: skip

    @property
    def done(self) -> bool:
        """Whether the turn has ended, or the greeting where that is all."""
        return self._over_since is not None

    def over(self) -> bool:
        """Whether the program should be ended now: it was told to stop, or is done, and had its time to leave."""
        now = self._clock()
        if self._cancelled():
            if self._told_to_stop is None:
                self._told_to_stop = now
                if self._standing:
                    self._send({"method": AGENT_METHODS["session_cancel"], "params": {"sessionId": self._session}})
            return self.done or not self._standing or now - self._told_to_stop > CANCEL_S
        return self._over_since is not None and now - self._over_since > LEAVE_S

    # The peer's side

    def says(self) -> bytes | None:
        """What is to be sent; the end of the input once the turn is over."""
        if not self._standing and not self.done and self._clock() - self._begun > GREETING_S:
            raise ProgramSilent(f"The program did not open a session within {GREETING_S:g} s.")
        if not self._outgoing:
            return None if self.done else b""
        data, self._outgoing = bytes(self._outgoing), bytearray()
        return data

    def heard(self, data: bytes) -> None:
        """Take what the program wrote. Raises the fault that ends it."""
        for line in self._lines.feed(data):
            if line.strip() and not self.done:
                self._message(line)
        if len(self._outgoing) > MOST_UNREAD:
            raise NotOurProtocol("The program asks and does not take the answers.")

    # Messages

    def _message(self, line: bytes) -> None:
        try:
            message = json.loads(line.decode())
        except (ValueError, RecursionError):
            message = None
        if not isinstance(message, dict):
            self._noise += 1
            self._told.line(f"output: {shown(line[:4000].decode('utf-8', 'replace'))}")
            if self._noise > MOST_NOISE:
                raise NotOurProtocol(f"More than {MOST_NOISE} lines of the program are no messages.")
        elif "method" in message:
            self._asked_of_us(message)
        else:
            self._answered(message)

    def _answered(self, message: dict[str, Any]) -> None:
        number = message.get("id")
        if isinstance(number, bool) or not isinstance(number, int) or number not in self._waiting:
            raise NotOurProtocol("The program answers what it was not asked.")
        method, take, otherwise = self._waiting.pop(number)
        error = message.get("error")
        if error is None:
            take(message.get("result"))
            return
        words = _words_of(error)
        if otherwise is not None:
            self._told.line(f"the program answers {method} with an error: {words}")
            otherwise()
            return
        if isinstance(error, dict) and error.get("code") == _AUTH_REQUIRED:
            raise NotAuthenticated(f"The program wants a login: {words}")
        raise ProgramFailed(f"The program answers {method} with an error: {words}")

    def _asked_of_us(self, message: dict[str, Any]) -> None:
        method, number = message["method"], message.get("id")
        if method == CLIENT_METHODS["session_update"]:
            self._update(message.get("params"))
            return
        if "id" not in message:
            return  # a notification that we do not know asks for nothing
        if not isinstance(number, str | int) or len(str(number)) > 100 or not isinstance(method, str):
            raise NotOurProtocol("A request of the program has no id or method that could be answered.")
        serve = self._SERVES.get(method)
        if serve is None:
            self._refuse(number, _NO_METHOD, "Method not found")
            return
        shape, work = serve
        try:
            self._send({"id": number, "result": work(self, self._checked(shape, message.get("params")))})
        except PermissionAsked as asked:
            asked.facts |= {"session": self._session if self._goes_on else "", "told": self._told.history}
            raise
        except Flood:
            raise
        except ValidationError:
            self._refuse(number, _BAD_PARAMS, "Invalid params")
        except FileNotFoundError:
            self._refuse(number, _NOT_FOUND, "Resource not found")
        except Fault as fault:
            self._told.line(f"refused: {shown(fault.detail)}")
            self._refuse(number, _BAD_PARAMS, fault.detail)
        except OSError as error:
            self._refuse(number, _INTERNAL, error.strerror or "The file cannot be used.")

    def _update(self, params: Any) -> None:
        if not self._standing:
            return  # of a session that is being loaded: it tells again what was shown before
        try:
            self._told.take(self._checked(SessionNotification, params))
        except (ValidationError, NotOurProtocol):
            return  # of a kind that came after this release, or of no session of ours: nothing that we would act on

    # What we serve

    def _read(self, wanted: ReadTextFileRequest) -> dict[str, Any]:
        return {"content": self._served.jail.read(wanted.path, line=wanted.line, limit=wanted.limit)}

    def _write(self, wanted: WriteTextFileRequest) -> dict[str, Any]:
        self._told.line(f"wrote {shown(self._served.jail.write(wanted.path, wanted.content))}")
        return {}

    def _permit(self, wanted: RequestPermissionRequest) -> dict[str, Any]:
        if self._told_to_stop is not None:
            return {"outcome": {"outcome": "cancelled"}}
        self._permitted += 1
        if self._permitted > MOST_PERMISSIONS:
            raise Flood(f"The program asked for more than {MOST_PERMISSIONS} permissions.")
        call = self._told.known(wanted.tool_call)
        answer = self._served.policy.answer(call)
        self._told.line(f"permission: {call.words}: {answer.value}")
        return permissions.outcome(answer, wanted.options)

    _SERVES: dict[str, tuple[type[BaseModel], Callable[[Any, Any], dict[str, Any]]]] = {
        CLIENT_METHODS["fs_read_text_file"]: (ReadTextFileRequest, _read),
        CLIENT_METHODS["fs_write_text_file"]: (WriteTextFileRequest, _write),
        CLIENT_METHODS["session_request_permission"]: (RequestPermissionRequest, _permit),
    }

    # The steps of a session

    def _initialized(self, result: Any) -> None:
        answer = self._shaped(InitializeResponse, result, "initialize")
        if answer.protocol_version != PROTOCOL_VERSION:
            raise OtherVersion(f"The program speaks version {answer.protocol_version} of the protocol.")
        self._able = answer.agent_capabilities or self._able
        if answer.agent_info is not None:
            self.program, self.version = answer.agent_info.name, answer.agent_info.version
        if self._prompt is None:
            self._end("")
        elif self._authentication:
            prompt = self._prompt
            self._ask("authenticate", {"methodId": self._authentication}, lambda _result: self._open(prompt))
        else:
            self._open(self._prompt)

    def _open(self, prompt: Prompt) -> None:
        """The session that was stopped, where there was one and the program can go on with it; else a new one."""
        where = {"cwd": str(self._served.directory), "mcpServers": []}
        if not prompt.session or not self._goes_on:
            self._ask("session_new", where, lambda result: self._opened(result, prompt))
            return
        self._session = prompt.session
        verb = "session_resume" if self._resumes else "session_load"
        anew = replace(prompt, session="")
        self._ask(
            verb, {"sessionId": self._session, **where}, lambda _result: self._resumed(prompt),
            otherwise=lambda: self._open(anew),
        )  # fmt: skip

    def _resumed(self, prompt: Prompt) -> None:
        self._told.line("it goes on with the session that was stopped")
        self._tell(prompt.go_on)

    def _opened(self, result: Any, prompt: Prompt) -> None:
        session = self._shaped(NewSessionResponse, result, "session/new").session_id
        if not 0 < len(session) <= 200:
            raise NotOurProtocol("The name of the session is empty or too long.")
        self._session = session
        self._tell(prompt.text)

    def _tell(self, words: str) -> None:
        self._standing = True
        prompt = [{"type": "text", "text": words}]
        self._ask("session_prompt", {"sessionId": self._session, "prompt": prompt}, self._ended)

    @property
    def _resumes(self) -> bool:
        able = self._able.session_capabilities
        return able is not None and able.resume is not None

    @property
    def _goes_on(self) -> bool:
        return self._resumes or bool(self._able.load_session)

    def _ended(self, result: Any) -> None:
        reason = self._shaped(PromptResponse, result, "session/prompt").stop_reason
        self._told.flush()
        if reason == "refusal":
            raise ProgramRefused(f"The program refuses to go on. {self._told.last_words}".strip())
        self._end(reason)

    def _end(self, reason: str) -> None:
        self.stop_reason, self._over_since = reason, self._clock()

    # Writing

    def _ask(
        self, method: str, params: dict[str, Any], take: Callable[[Any], None],
        *, otherwise: Callable[[], None] | None = None,
    ) -> None:  # fmt: skip
        self._waiting[self._asked] = (AGENT_METHODS[method], take, otherwise)
        self._send({"id": self._asked, "method": AGENT_METHODS[method], "params": params})
        self._asked += 1

    def _refuse(self, number: str | int, code: int, words: str) -> None:
        self._send({"id": number, "error": {"code": code, "message": words}})

    def _send(self, message: dict[str, Any]) -> None:
        self._outgoing += json.dumps({"jsonrpc": "2.0", **message}, separators=(",", ":")).encode() + b"\n"

    def _checked(self, shape: type[M], params: Any) -> M:
        """The parameters in their shape, and of our session. Raises ValidationError."""
        checked = shape.model_validate(params)
        if getattr(checked, "session_id", self._session) != self._session:
            raise NotOurProtocol("The program speaks of another session.")
        return checked

    def _shaped(self, shape: type[M], result: Any, method: str) -> M:
        try:
            return shape.model_validate(result)
        except ValidationError:
            self._misshapen(method)

    @staticmethod
    def _misshapen(method: str) -> NoReturn:
        raise NotOurProtocol(f"The program's answer to {method} is not what the protocol says.")


def _words_of(error: Any) -> str:
    """An error of JSON-RPC in words. Programs put what they know in its data: the message is the code's name."""
    if not isinstance(error, dict):
        return shown(str(error), limit=300)
    data = error.get("data")
    details = data if isinstance(data, str) else words_of(data)
    message = str(error.get("message", ""))
    return shown(f"{message}: {details}" if details and details != message else message, limit=500)
