"""An agent program that speaks the Agent Client Protocol: standard library only, since it runs inside a berth.

    python3 acp_agent.py BEHAVIOUR [ARGUMENT…]

It mends ``return a + b`` of ``sub`` in calc.py, or behaves as badly as its first argument says. The file is also the
program of the one-shot mode: behaviours that begin with ``once-``.
"""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
import uuid

WRONG, RIGHT = "def sub(a, b):\n    return a + b\n", "def sub(a, b):\n    return a - b\n"
DIRECTORY = os.getcwd()
STATE = {"session": ""}
PROMPT: list[str] = []  # what it was told
ABLE = {
    "resumes": {"loadSession": True, "sessionCapabilities": {"resume": {}}},
    "forgets": {"loadSession": True, "sessionCapabilities": {"resume": {}}},
    "loads": {"loadSession": True},
}


class Answered(Exception):
    """The host answered with an error; the argument is its message."""


def send(message):
    sys.stdout.write(json.dumps({"jsonrpc": "2.0", **message}) + "\n")
    sys.stdout.flush()


def take():
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return json.loads(line)


def ask(method, **params):
    send({"id": method, "method": method, "params": {"sessionId": STATE["session"], **params}})
    while (answer := take()).get("id") != method:
        if answer.get("method") == "session/cancel":
            raise Answered("cancelled")
    if "error" in answer:
        raise Answered(answer["error"]["message"])
    return answer["result"]


def update(of, **fields):
    send(
        {
            "method": "session/update",
            "params": {"sessionId": STATE["session"], "update": {"sessionUpdate": of, **fields}},
        }
    )


def says(text):
    update("agent_message_chunk", content={"type": "text", "text": text})


def mend(path="calc.py"):
    text = ask("fs/read_text_file", path=f"{DIRECTORY}/{path}")["content"]
    update("tool_call", toolCallId="edit", title=f"Edit {path}", kind="edit", status="in_progress")
    ask("fs/write_text_file", path=f"{DIRECTORY}/{path}", content=text.replace(WRONG, RIGHT))
    update("tool_call_update", toolCallId="edit", status="completed")


def well(*_):
    update("plan", entries=[{"content": "Mend sub()", "priority": "high", "status": "pending"}])
    says("I look at calc.py\nand mend ")
    mend()
    says("sub().\n")


def lies(*_):
    says("All tests pass. Pull request #7 is open.")


def asks(command="make all"):
    """As Codex asks: with numbers and a clock of this very call."""
    given = {
        "call_id": uuid.uuid4().hex,
        "turnId": uuid.uuid4().hex,
        "started_at_ms": time.time_ns(),
        "command": command,
    }
    call = {"toolCallId": uuid.uuid4().hex, "title": f"Run {command}", "kind": "execute", "rawInput": given}
    options = [
        {"optionId": "n", "name": "No", "kind": "reject_once"},
        {"optionId": "y", "name": "Yes", "kind": "allow_once"},
    ]
    outcome = ask("session/request_permission", toolCall=call, options=options)["outcome"]
    says(f"the answer is {outcome.get('optionId')}\n")
    if outcome.get("optionId") == "y":
        mend()


def remembers(*_):
    """Leaves a file, asks, and knows after it was stopped what it was about; begins anew where it was told so."""
    words = PROMPT[-1]
    where = "goes on" if "The requirement" not in words else "was told" if "You were stopped" in words else "begins"
    says(f"it {where} in {STATE['session']}\n")
    if where == "begins":
        ask("fs/write_text_file", path=f"{DIRECTORY}/left.txt", content="half of it\n")
    else:
        assert "make all" in words
        says(f"there is {ask('fs/read_text_file', path=f'{DIRECTORY}/left.txt')['content']}")
    asks()


def nags(*_):
    while True:
        asks()


def in_pieces(*_):
    """As OpenCode, Claude and Qwen tell of a call: what it is about comes later, or in the request alone."""
    update("tool_call", toolCallId="t1", title="Edit", kind="edit", status="pending", rawInput={})
    update("tool_call_update", toolCallId="t1", title="Edit calc.py", rawInput={"file_path": "calc.py"})
    options = [{"optionId": "y", "name": "Yes", "kind": "allow_always"}]
    ask("session/request_permission", toolCall={"toolCallId": "t1"}, options=options)
    why = {"type": "content", "content": {"type": "text", "text": "no such line"}}
    update("tool_call_update", toolCallId="t1", status="failed", content=[why])
    ask(
        "session/request_permission",
        toolCall={"toolCallId": "t2", "title": "Write it", "kind": "edit"},
        options=options,
    )
    mend()
    update("tool_call_update", toolCallId="t2", status="completed")


def is_at_a_loss(*_):
    """As Codex and Qwen tell why: in the error's data."""
    sys.stderr.write("I wanted more\n")
    sys.stderr.flush()
    raise AtALoss


class AtALoss(Exception):
    """The turn is answered with an error."""


def is_killed(*_):
    says("Almost there…")
    mend()
    os.kill(os.getpid(), signal.SIGKILL)


def leaves_children(mark="+1000"):
    for _child in range(3):
        subprocess.Popen(["sleep", mark[1:]], start_new_session=True)
    mend()


def roams(*_):
    """Beside the protocol: by itself."""
    for path in ("/etc/owned", "/usr/local/bin/owned", "/owned", "/run/moorage/owned", "/tmp/../home/owned"):
        try:
            with open(path, "w") as file:
                file.write("owned")
        except OSError as error:
            says(f"write {path}: {error.strerror}\n")
        else:
            says(f"WROTE {path}\n")
    mend()


def cuts_off(*_):
    sys.stdout.write('{"jsonrpc": "2.0", "method": "session/upd')
    sys.stdout.flush()
    os._exit(0)


def is_enormous(*_):
    says("y" * (3 << 20))
    mend()


def escapes(*_):
    for path in ("/etc/passwd", f"{DIRECTORY}/../out.txt", f"{DIRECTORY}/.git/hooks/pre-commit", "calc.py", "/out.txt"):
        try:
            ask("fs/write_text_file", path=path, content="owned")
        except Answered as error:
            says(f"write {path}: {error}\n")
        else:
            says(f"WROTE {path}\n")
    for path in ("/etc/shadow", f"{DIRECTORY}/absent.py", f"{DIRECTORY}/link"):
        try:
            ask("fs/read_text_file", path=path)
        except Answered as error:
            says(f"read {path}: {error}\n")
        else:
            says(f"READ {path}\n")
    try:
        ask("terminal/create", command="sh")
    except Answered as error:
        says(f"terminal: {error}\n")
    mend()


def hangs(mark="+1000"):
    says("thinking…\n")
    subprocess.Popen(["sleep", mark[1:]], start_new_session=True)
    while True:
        time.sleep(1)


def waits(mark="+1000"):
    """As it should: it ends its turn when told so."""
    says("waiting\n")
    subprocess.Popen(["sleep", mark[1:]], start_new_session=True)
    while take().get("method") != "session/cancel":
        continue
    with open("cancelled.txt", "w") as file:
        file.write("yes")
    return "cancelled"


def works(mark="+1000"):
    """Takes its time, beside a program of its own."""
    beside = subprocess.Popen(["sleep", mark[1:]], start_new_session=True)
    time.sleep(3)
    mend()
    beside.kill()


def crashes(*_):
    says("Almost there…")
    sys.stderr.write("Traceback: it broke\n")
    mend()
    os._exit(3)


def floods(*_):
    block = b"x" * (1 << 20)
    for _block in range(100):
        sys.stdout.buffer.write(block)
    sys.stdout.flush()


def chatters(*_):
    for number in range(6000):
        says(f"line {number}\n")
    mend()


def garbage(*_):
    for number in range(100):
        sys.stdout.write(f"\x1b[31mnot a message {number}\n")
    sys.stdout.flush()


def answers_unasked(*_):
    send({"id": 4711, "result": {}})
    time.sleep(30)


def asks_a_model(*_):
    """The scripted answer is the file's text."""
    says(f"my key is {os.environ['OPENAI_API_KEY']}\n")
    body = {"model": os.environ["OPENAI_MODEL"], "messages": [{"role": "user", "content": "Mend it."}]}
    request = urllib.request.Request(  # noqa: S310 — the gateway
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        data=json.dumps(body).encode(),
        headers={"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            text = json.load(answer)["choices"][0]["message"]["content"]
    except urllib.error.HTTPError as error:
        says(f"the model answers {error.code}\n")
        return
    ask("fs/write_text_file", path=f"{DIRECTORY}/calc.py", content=text)
    try:
        with urllib.request.urlopen("http://example.org/", timeout=30):
            says("REACHED THE WORLD\n")
    except OSError as error:
        says(f"the world: {error}\n")


def searches(*_):
    """As Codex does: offers its model a tool of the provider's."""
    body = {"model": os.environ["OPENAI_MODEL"], "input": "Mend it.", "tools": [{"type": "web_search"}]}
    request = urllib.request.Request(  # noqa: S310 — the gateway
        os.environ["OPENAI_BASE_URL"] + "/responses",
        data=json.dumps(body).encode(),
        headers={"Authorization": "Bearer " + os.environ["OPENAI_API_KEY"], "Content-Type": "application/json"},
    )
    try:
        urllib.request.urlopen(request, timeout=30).close()  # noqa: S310
    except urllib.error.HTTPError as error:
        raise AtALoss from error


def tells_its_environment(*_):
    says(" ".join(sorted(os.environ)) + "\n")
    mend()


BEHAVIOURS = {
    "remembers": remembers,
    "resumes": remembers,
    "loads": remembers,
    "forgets": remembers,
    "nags": nags,
    "pieces": in_pieces,
    "loss": is_at_a_loss,
    "killed": is_killed,
    "children": leaves_children,
    "roams": roams,
    "cut": cuts_off,
    "enormous": is_enormous,
    "well": well,
    "lies": lies,
    "asks": asks,
    "escapes": escapes,
    "hangs": hangs,
    "waits": waits,
    "crashes": crashes,
    "works": works,
    "floods": floods,
    "chatters": chatters,
    "garbage": garbage,
    "unasked": answers_unasked,
    "model": asks_a_model,
    "searches": searches,
    "environment": tells_its_environment,
}


def sessions():
    """Where it keeps the names of its sessions, as the real ones do: beneath its home."""
    return os.path.join(os.environ["HOME"], "acp_sessions")


def opened():
    STATE["session"] = f"session-{uuid.uuid4().hex[:8]}"
    with open(sessions(), "a") as file:
        file.write(STATE["session"] + "\n")
    return {"sessionId": STATE["session"]}


def gone_on(behaviour, method, name):
    """The session of that name again; loading tells once more what it had told."""
    with open(sessions()) as file:
        known = name in file.read().split()
    if not known or behaviour == "forgets":
        raise Answered("Resource not found")
    STATE["session"] = name
    if method == "session/load":
        says("this was said before\n")
    return {}


def session():
    """initialize, session/new or resume or load, session/prompt, until the host leaves."""
    behaviour, *arguments = sys.argv[1:]
    if behaviour == "leaves":
        sys.exit(0)
    while True:
        message = take()
        method, number, params = message.get("method"), message.get("id"), message.get("params", {})
        if method == "initialize":
            if behaviour == "silent":
                time.sleep(600)
            version = 2 if behaviour == "newer" else 1
            info = {"name": "Deterministic change — no AI was used", "version": "1.4.2"}
            able = ABLE.get(behaviour, {})
            send({"id": number, "result": {"protocolVersion": version, "agentInfo": info, "agentCapabilities": able}})
        elif method == "session/new" and behaviour == "locked":
            send({"id": number, "error": {"code": -32000, "message": "Authentication required"}})
        elif method == "session/new":
            send({"id": number, "result": opened()})
        elif method in ("session/load", "session/resume"):
            try:
                send({"id": number, "result": gone_on(behaviour, method, params["sessionId"])})
            except Answered as error:
                send({"id": number, "error": {"code": -32002, "message": str(error)}})
        elif method == "session/prompt" and behaviour == "refuses":
            send({"id": number, "result": {"stopReason": "refusal"}})
        elif method == "session/prompt":
            PROMPT.append(params["prompt"][0]["text"])
            assert "The requirement" in PROMPT[0] or "You were stopped" in PROMPT[0]
            try:
                reason = BEHAVIOURS[behaviour](*arguments) or "end_turn"
            except AtALoss:
                data = {"details": "no tokens are left"}
                send({"id": number, "error": {"code": -32603, "message": "Internal error", "data": data}})
                continue
            send({"id": number, "result": {"stopReason": reason}})


def once():
    """The prompt is a file and the input; the output is lines of JSON."""
    behaviour, place, *_ = sys.argv[1:]
    with open(place) as file:
        prompt = file.read()
    assert prompt == sys.stdin.read()
    assert "The requirement" in prompt
    print("a banner")
    print(json.dumps({"type": "assistant", "message": {"content": [{"type": "text", "text": "I mend sub()."}]}}))
    if behaviour == "once-well":
        with open("calc.py") as file:
            text = file.read()
        with open("calc.py", "w") as file:
            file.write(text.replace(WRONG, RIGHT))
    print(json.dumps({"type": "result", "result": "All done!"}), flush=True)
    sys.exit(9 if behaviour == "once-well" else 0)  # an exit code is no judgement


if __name__ == "__main__":
    once() if sys.argv[1].startswith("once-") else session()
