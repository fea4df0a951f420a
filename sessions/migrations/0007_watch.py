from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [
        ("terminals", "0006_recordings"),
    ]

    operations = [
        migrations.AddField(
            model_name="terminal",
            name="kind",
            field=models.CharField(
                choices=[("shell", "Shell"), ("watch", "Watch")],
                default="shell",
                help_text="A shell in the berth, or what the commands of the agent's work print.",
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            model_name="terminal",
            constraint=models.UniqueConstraint(
                condition=Q(("kind", "watch"), ("state__in", ["opening", "live", "detached"])),
                fields=("agent",),
                name="one_watch_of_an_agent",
            ),
        ),
    ]
