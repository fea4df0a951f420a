"""The pages of templates: every tab, the life of a draft, verbs by POST only, hostile text stays text."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from agents import outfit_changes
from templates_app import active, drafts, publish
from templates_app.activation import Change, activate
from templates_app.documents import parse
from templates_app.models import Draft, Source
from tests import factories

pytestmark = pytest.mark.django_db

HEAD = "apiVersion: moorage/v1\nkind: Template\nname: dock\n"
TABS = ("resolved", "source", "parents", "versions", "dependents", "agents")
HOSTILE = "<script>window.hacked=1</script>"


def put(version: str = "1.0.0", body: str = "") -> None:
    publish.publish(f"{HEAD}version: {version}\nextends: lightweight\n{body}", actor="user:ada")


def tab(name: str, which: str) -> str:
    return reverse("admin:template_tab", args=[name, which])


def draft_page(name: str = "dock") -> str:
    return reverse("admin:template_draft", args=[name])


def said(answer: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", answer.content.decode()))


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize("which", TABS)
def test_every_tab_answers_before_and_after_the_first_activation(
    admin_client: Client, which: str, published: bool
) -> None:
    if published:
        put()
    for name in ("python-web", "web"):
        answer = admin_client.get(tab(name, which))
        assert answer.status_code == 200
        assert "cannot be shown" not in said(answer)


def test_strangers_see_nothing_and_unknown_names_and_tabs_are_404(admin_client: Client, django_user_model: Any) -> None:
    assert admin_client.get(tab("python", "nothing")).status_code == 404
    assert admin_client.get(tab("pyton", "resolved")).status_code == 404
    assert admin_client.get("/admin/templates/%00/draft/").status_code == 404
    stranger = Client()
    stranger.force_login(django_user_model.objects.create_user("mallory"))
    for path in (tab("python", "source"), draft_page(), reverse("admin:template_new"), reverse("admin:templates")):
        assert stranger.get(path).status_code == 302


def test_the_resolved_tab_says_who_set_each_value_and_over_what(admin_client: Client) -> None:
    text = said(admin_client.get(tab("python-web", "resolved"), {"path": "size.memory_mb"}))
    assert "size.memory_mb" in text
    whole = admin_client.get(tab("python-web", "resolved")).content.decode()
    assert re.search(r'title="set by python-web 1\.0\.0, python-web\.yaml:\d+:\d+; over', whole)


def test_a_draft_is_saved_checked_published_and_gone(admin_client: Client) -> None:
    put()
    page = admin_client.get(draft_page()).content.decode()
    assert "version: 1.0.0" in page
    wrong = admin_client.post(draft_page(), {"text": "name: [", "revision": "0", "save": "1"})
    assert "it has errors" in said(wrong)
    sound = f"{HEAD}version: 1.1.0\r\nextends: lightweight\r\nspec: {{size: {{pids: 99}}}}\r\n"
    answer = admin_client.post(draft_page(), {"text": sound, "revision": "1", "save": "1"})
    assert "Saved, and sound" in said(answer)
    assert "size.pids" in said(answer)
    assert active.templates()["dock"].version == "1.0.0"
    done = admin_client.post(draft_page(), {"text": sound, "revision": "2", "publish": "1"})
    assert done.status_code == 302
    assert active.text_of("dock") == sound.replace("\r\n", "\n")
    assert not Draft.objects.exists()


def test_who_saves_over_somebody_else_is_told_and_loses_nothing(admin_client: Client) -> None:
    drafts.save("dock", "theirs", actor="user:eve")
    answer = admin_client.post(draft_page(), {"text": "mine", "revision": "0", "save": "1"})
    assert "revision 1" in said(answer)
    assert "mine" in said(answer)
    assert drafts.load("dock").text == "theirs"


def test_a_new_one_is_made_from_nothing_or_from_a_devcontainer(admin_client: Client) -> None:
    new = reverse("admin:template_new")
    assert admin_client.get(new).status_code == 200
    assert admin_client.post(new, {"name": "dock", "extends": "base"})["Location"] == draft_page()
    assert "already" not in said(admin_client.get(draft_page()))
    made = admin_client.post(new, {"extends": "base", "devcontainer": '{"name": "App", "mounts": []}'})
    assert made["Location"] == draft_page("app")
    assert "mounts: refused" in drafts.load("app").text
    assert "cannot be the name" in said(admin_client.post(new, {"name": "../x", "extends": "base"}))
    assert "not JSON" in said(admin_client.post(new, {"extends": "base", "devcontainer": "NaN"}))
    assert "revision" in said(admin_client.post(new, {"name": "dock", "extends": "base"}))  # there is one already


def test_verbs_are_posts_and_say_what_they_did(admin_client: Client) -> None:
    put()
    first = active.templates()["dock"].digest
    put("1.1.0", "spec: {size: {pids: 99}}\n")

    def do(verb: str) -> str:
        return reverse("admin:template_do", args=["dock", verb])

    assert admin_client.get(do("deprecate")).status_code == 405
    assert admin_client.post(do("explode")).status_code == 404
    answer = admin_client.post(do("deprecate"), {"reason": "old", "replaced_by": "python"}, follow=True)
    assert "is deprecated" in said(answer)
    assert "Use python" in said(answer)
    assert "not deprecated any more" in said(admin_client.post(do("restore"), follow=True))
    compared = said(admin_client.get(tab("dock", "versions"), {"compare": first[:16]}))
    assert "size.pids 128 99" in compared
    assert "1.0.0 is in force again" in said(admin_client.post(do("return"), {"digest": first}, follow=True))
    assert "no version" in said(admin_client.post(do("return"), {"digest": "f" * 64}, follow=True))


def test_agents_that_are_behind_are_shown_with_the_difference(admin_client: Client) -> None:
    factories.host()
    put()
    agent = factories.running("dock", name="scout")
    put("1.1.0", "spec: {size: {pids: 99}, idle_timeout_s: 77}\n")
    outfit_changes.reach(actor="system")
    text = said(admin_client.get(tab("dock", "agents")))
    assert re.search(r"scout running outdated wears 1\.0\.0.*size\.pids 128 99 keep the old one", text)
    assert "idle_timeout_s" not in text
    assert "outdated" in said(admin_client.get(reverse("admin:agents_agent_change", args=[agent.pk])))


def test_a_refused_change_is_a_badge_and_a_notice_with_its_places(admin_client: Client) -> None:
    put()
    text = f"{HEAD}version: 1.1.0\nextends: nowhere\n"
    activate({"dock": Change(parse(text, file="dock.yaml"), text, Source.FILE, "node-a")}, actor="host:node-a")
    assert "change refused" in said(admin_client.get(reverse("admin:templates")))
    page = said(admin_client.get(tab("dock", "resolved")))
    assert "the good one stays in force" in page
    assert "dock.yaml:5:" in page


def test_one_that_never_was_sound_has_a_page_with_its_errors(admin_client: Client) -> None:
    put()
    text = f"{HEAD.replace('dock', 'wreck')}version: 1.1.0\nextends: nowhere\n"
    activate({"wreck": Change(parse(text, file="wreck.yaml"), text, Source.FILE, "node-a")}, actor="host:node-a")
    for which in TABS:
        assert "wreck.yaml:5:" in said(admin_client.get(tab("wreck", which)))


def test_hostile_text_stays_text(admin_client: Client) -> None:
    put("1.0.0", f'description: "{HOSTILE}"\nspec: {{environment: {{A: "{HOSTILE}"}}}}\n')
    drafts.save("quay", HOSTILE + "</textarea>" + HOSTILE, actor="user:eve")
    paths = [tab("dock", which) for which in TABS]
    for path in [*paths, draft_page(), draft_page("quay"), reverse("admin:templates")]:
        assert "<script>window.hacked" not in admin_client.get(path).content.decode()
