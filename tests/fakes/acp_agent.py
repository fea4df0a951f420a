"""An agent program that speaks the Agent Client Protocol: standard library only, since it runs inside a berth.

    python3 acp_agent.py BEHAVIOUR [ARGUMENT…]

It mends ``return a + b`` of ``sub`` in calc.py, or behaves as badly as its first argument says. The file is also the
program of the one-shot mode: behaviours that begin with ``once-``.
"""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

WRONG, RIGHT = "def sub(a, b):\n    return a + b\n", "def sub(a, b):\n    return a - b\n"
DIRECTORY = os.getcwd()
SESSION = "session-1"


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
    send({"id": method, "method": method, "params": {"sessionId": SESSION, **params}})
    while (answer := take()).get("id") != method:
        if answer.get("method") == "session/cancel":
            raise Answered("cancelled")
    if "error" in answer:
        raise Answered(answer["error"]["message"])
    return answer["result"]


def update(of, **fields):
    send({"method": "session/update", "params": {"sessionId": SESSION, "update": {"sessionUpdate": of, **fields}}})


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
    call = {"toolCallId": "t1", "title": f"Run {command}", "kind": "execute", "rawInput": {"command": command}}
    options = [
        {"optionId": "n", "name": "No", "kind": "reject_once"},
        {"optionId": "y", "name": "Yes", "kind": "allow_once"},
    ]
    outcome = ask("session/request_permission", toolCall=call, options=options)["outcome"]
    says(f"the answer is {outcome.get('optionId')}\n")
    if outcome.get("optionId") == "y":
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


def tells_its_environment(*_):
    says(" ".join(sorted(os.environ)) + "\n")
    mend()


BEHAVIOURS = {
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
    "environment": tells_its_environment,
}


def session():
    """initialize, session/new, session/prompt, until the host leaves."""
    behaviour, *arguments = sys.argv[1:]
    while True:
        message = take()
        method, number = message.get("method"), message.get("id")
        if method == "initialize":
            if behaviour == "silent":
                time.sleep(600)
            version = 2 if behaviour == "newer" else 1
            info = {"name": "Deterministic change — no AI was used", "version": "1.4.2"}
            send({"id": number, "result": {"protocolVersion": version, "agentInfo": info}})
        elif method == "session/new" and behaviour == "locked":
            send({"id": number, "error": {"code": -32000, "message": "Authentication required"}})
        elif method == "session/new":
            send({"id": number, "result": {"sessionId": SESSION}})
        elif method == "session/prompt" and behaviour == "refuses":
            send({"id": number, "result": {"stopReason": "refusal"}})
        elif method == "session/prompt":
            assert "The requirement" in message["params"]["prompt"][0]["text"]
            reason = BEHAVIOURS[behaviour](*arguments) or "end_turn"
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
