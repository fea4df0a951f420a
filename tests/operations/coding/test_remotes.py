"""Which repository addresses are talked to."""

from __future__ import annotations

from pathlib import Path

import pytest

from operations.coding.git_faults import RepositoryRefused, Unreachable, classify, redact
from operations.coding.remotes import Kind, admit, check_url

PUBLIC = "93.184.215.14"


def outside(host: str) -> list[str]:
    return [PUBLIC]


@pytest.mark.parametrize(
    ("url", "clean", "slug"),
    [
        ("https://git.example.org/team/app.git", "https://git.example.org/team/app.git", "team/app"),
        ("HTTPS://Git.Example.org./team/app", "https://git.example.org/team/app", "team/app"),
        ("https://git.example.org:8443/a/b/c.git", "https://git.example.org:8443/a/b/c.git", "b/c"),
        ("https://git.example.org/team/caf%C3%A9", "https://git.example.org/team/caf%C3%A9", "team/café"),
        ("ssh://git@git.example.org/team/app.git", "ssh://git@git.example.org/team/app.git", "team/app"),
        ("ssh://git@git.example.org:2222/team/app", "ssh://git@git.example.org:2222/team/app", "team/app"),
        ("git@git.example.org:team/app.git", "git@git.example.org:team/app.git", "team/app"),
        ("git.example.org:team/app", "git.example.org:team/app", "team/app"),
    ],
)
def test_ordinary_addresses_are_taken(url: str, clean: str, slug: str) -> None:
    remote = check_url(url, resolve=outside)
    assert (remote.url, remote.slug, remote.host) == (clean, slug, "git.example.org")
    assert admit(remote, resolve=outside) == (PUBLIC,)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "app",
        "./app",
        "../app",
        "~/app",
        "ext::sh -c touch% /tmp/x",
        "ext::sh",
        "fd::17",
        "https::https://git.example.org/a",
        "git://git.example.org/a",
        "ftp://git.example.org/a",
        "http://git.example.org/a/b",
        "javascript://git.example.org/a",
        "--upload-pack=touch x",
        "-oProxyCommand=touch",
        "ssh://-oProxyCommand=touch/a",
        "ssh://git@-oProxyCommand=touch/a",
        "ssh://-l@git.example.org/a",
        "-x@git.example.org:a",
        "git@-oProxyCommand=x:a",
        "git@git.example.org:-x",
        "https://git.example.org/-x/y",
        "https://user:secret@git.example.org/a/b",
        "https://ghp_0123456789abcdef@git.example.org/a/b",
        "https://@git.example.org/a/b",
        "ssh://git:secret@git.example.org/a/b",
        "git:secret@git.example.org:a/b",
        "https://git.example.org/a\nb",
        "https://git.example.org/a%0ab",
        "https://git.example.org/a%00b",
        "https://git.example.org/a%250ab",
        "https://git.example.org/a b",
        "https://git.example.org\\@evil.example/a",
        "https://git.example.org/../../etc",
        "https://git.example.org/a/%2e%2e/b",
        "https://git.example.org/a?x=1",
        "https://git.example.org/a#x",
        "https://git.example.org/",
        "https://git.example.org",
        "https:///a/b",
        "https://git.exämple.org/a/b",
        "https://gіthub.com/a/b",  # a Cyrillic i
        "https://xn--gthub-n4a.com/a/b",
        "https://git.example.org\u200b/a/b",
        "https://exa_mple.org/a/b",
        "https://git..example.org/a/b",
        "https://git.example.org:99999/a/b",
        "https://git.example.org:x/a/b",
        "https://[::1/a",
        "file://git.example.org/a",
        "git@git.example.org:",
        "https://" + "a" * 3000,
    ],
)
def test_anything_else_is_refused_with_a_reason_and_a_pointer(url: str) -> None:
    with pytest.raises(RepositoryRefused) as caught:
        check_url(url, resolve=outside)
    assert caught.value.pointer == "/repository_url"
    assert caught.value.facts["why"]
    assert "secret" not in str(caught.value.as_dict())
    assert "ghp_" not in str(caught.value.as_dict())


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.5", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0",
        "224.0.0.1", "::1", "fe80::1", "fe80::1%eth0", "fd00:ec2::254", "::ffff:10.0.0.5",
        "64:ff9b::a00:5", "2002:a00:5::",
        "::", "255.255.255.255", "198.18.0.1",
    ],
)  # fmt: skip
def test_hosts_inside_our_own_network_are_refused_unless_listed(address: str) -> None:
    def inside(host: str) -> list[str]:
        return [PUBLIC, address]  # one bad address is enough

    for url in ("https://git.example.org/a/b", "git@git.example.org:a/b", "ssh://git.example.org/a/b"):
        with pytest.raises(RepositoryRefused, match="own network"):
            check_url(url, resolve=inside)
        listed = check_url(url, resolve=inside, allowed_hosts=["git.example.org"])
        assert admit(listed, resolve=inside) == (PUBLIC, address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "localhost", "x.localhost", "127.1", "2130706433", "0x7f.0.0.1"]
)
def test_ways_to_spell_loopback_are_refused(host: str) -> None:
    with pytest.raises(RepositoryRefused):
        check_url(f"https://{host}/a/b")


def test_a_name_that_moves_inside_later_is_refused_when_it_is_used() -> None:
    remote = check_url("https://git.example.org/a/b", resolve=outside)
    with pytest.raises(RepositoryRefused, match="own network"):
        admit(remote, resolve=lambda host: ["127.0.0.1"])


def test_a_name_without_an_address_is_taken_and_asked_again() -> None:
    remote = check_url("https://git.example.org/a/b", resolve=lambda host: [])
    with pytest.raises(Unreachable):
        admit(remote, resolve=lambda host: [])


def test_http_is_for_listed_loopback_hosts_only() -> None:
    url = "http://127.0.0.1:8000/a/b"
    with pytest.raises(RepositoryRefused, match="clear"):
        check_url(url)
    assert check_url(url, allowed_hosts=["127.0.0.1:8000"]).kind is Kind.HTTP
    with pytest.raises(RepositoryRefused, match="clear"):
        check_url("http://127.0.0.1:9/a/b", allowed_hosts=["127.0.0.1:8000"])
    with pytest.raises(RepositoryRefused, match="clear"):
        check_url("http://git.example.org/a", allowed_hosts=["git.example.org"], resolve=outside)


def test_local_paths_are_taken_beneath_a_root_only(tmp_path: Path) -> None:
    root, secret = tmp_path / "root", tmp_path / "root-secret"
    (root / "app mit ü%.git").mkdir(parents=True)
    secret.mkdir()
    (root / "link").symlink_to(secret)
    good = root / "app mit ü%.git"

    assert check_url(good.as_uri(), local_roots=[root]).path == good
    assert check_url(f"file://localhost{root}", local_roots=[root]).path == root
    for bad in (
        str(secret),
        f"{root}/../root-secret",
        str(root / "link"),
        secret.as_uri(),
        "/",
        str(root / "none"),
    ):
        with pytest.raises(RepositoryRefused):
            check_url(bad, local_roots=[root])
    with pytest.raises(RepositoryRefused, match="ROOTS"):
        check_url(str(root))


def test_error_texts_lose_their_secrets() -> None:
    text = (
        "fatal: unable to access 'https://u:hunter2@h/x': Authorization: Basic dTpw token ghp_abcdefgh12345678\x1b[31m"
    )
    shown = redact(text)
    assert not any(secret in shown for secret in ("hunter2", "dTpw", "ghp_abcdefgh", "\x1b"))
    assert "hunter2" not in classify(text, doing="Fetching").detail


@pytest.mark.parametrize(
    ("stderr", "code"),
    [
        ("fatal: Authentication failed for 'https://h/x'", "git.auth"),
        ("git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.", "git.auth"),
        ("Host key verification failed.\nfatal: Could not read from remote repository.", "git.auth"),
        (
            "remote: Repository not found.\nfatal: repository 'https://h/x/' not found",
            "git.repository_not_found",
        ),
        ("fatal: unable to access 'https://h/': Could not resolve host: h", "git.unreachable"),
        (
            "ssh: connect to host h port 22: Connection refused\nfatal: Could not read from remote",
            "git.unreachable",
        ),
        ("error: RPC failed; HTTP 502 curl 22 The requested URL returned error: 502", "git.unreachable"),
        ("fatal: detected dubious ownership in repository at '/r'", "git.owner"),
        ("fatal: write error: No space left on device", "git.no_space"),
        ("fatal: fsck error in packed object", "git.content_refused"),
        ("fatal: pack exceeds maximum allowed size (1.00 KiB)", "git.too_big"),
        ("something new", "git.failed"),
        ("", "git.failed"),
    ],
)
def test_git_texts_become_faults(stderr: str, code: str) -> None:
    assert classify(stderr, doing="Fetching").code == code
