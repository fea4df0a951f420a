#!/bin/bash
# Makes the secrets of docker-compose.yml in DIRECTORY (default var/compose); what is there already stays.
# The directory is ours alone; the files in it are readable, because a container sees the file and not the directory.
set -euo pipefail
cd "$(dirname "$0")/.."
directory=${1:-${MOORAGE_SECRETS:-var/compose}}

mkdir -p "$directory"
chmod 700 "$directory"
umask 022
# keep NAME VALUE: whole or not at all.
keep() {
  [ -s "$directory/$1" ] && return 0
  printf '%s' "$2" >"$directory/.$1.new"
  mv "$directory/.$1.new" "$directory/$1"
}
random() { head -c 30 /dev/urandom | base64 | tr '+/' '-_'; }
keep secret_key "$(random)$(random)"
keep database_password "$(random)"
keep flower_password "$(random)"
keep redis_password "$(random)"
keep redis_url "redis://:$(cat "$directory/redis_password")@redis:6379/0"
for name in git_token github_token github_webhook_secret openai_api_key anthropic_api_key; do
  [ -e "$directory/$name" ] || : >"$directory/$name" # empty: none; write yours into the file
done
echo "secrets: $directory"
