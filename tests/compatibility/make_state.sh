#!/usr/bin/env bash
# Makes state.tar.gz: a repository and a state directory as the version before 0.6.0 (commit 5388172) left them.
#
#   PRJ_BIN=/path/to/that/version/.venv/bin ./make_state.sh
#
# The paths are fixed because the state names them: worktrees, operations, projects.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=/tmp/prunejuice-state-0.5.0
rm -rf "$root"
mkdir -p "$root/home" "$root/shop/.prj/commands"
export HOME=$root/home PRUNEJUICE_HOME=$root/home/state PRUNEJUICE_CONFIG=$root/home/config PRUNEJUICE_TMUX_SOCKET=prj-old-state
export GIT_CONFIG_NOSYSTEM=1 PATH="$PRJ_BIN:$PATH"
unset XDG_STATE_HOME XDG_CONFIG_HOME || true
printf '[user]\nname = tester\nemail = tester@localhost\n[init]\ndefaultBranch = main\n' >"$HOME/.gitconfig"
cd "$root/shop"
git init -q
printf 'def total(prices):\n    return 0\n' >cart.py
printf 'def send(address):\n    return address\n' >mail.py
cat >.prj/commands/edit.yaml <<'YAML'
name: edit
description: Change a file in a worktree of its own
arguments:
  - {name: text, default: hello}
pre_steps: [create-worktree]
steps:
  - {name: write, script: 'echo "$PRUNEJUICE_ARG_TEXT" >note.txt'}
  - {name: more, script: 'echo more >>note.txt; echo "::set-output name=x::1" >/dev/null'}
post_steps: [store-artifacts]
YAML
cat >.prj/commands/fail.yaml <<'YAML'
name: fail
description: A step that fails
steps:
  - {name: first, script: echo first}
  - {name: second, script: exit 3}
YAML
cat >.prj/commands/ask.yaml <<'YAML'
name: ask
description: A step that only a person can do
steps:
  - {name: first, script: echo first}
  - {name: judge, agent: nobody-knows}
  - {name: last, script: echo last}
YAML
git add . && git commit -qm 'Open the shop'
prj trust
prj run edit text=kept --json >"$root/edit.json"
prj run edit text=removed --json >"$root/removed.json"
prj run fail --json >"$root/fail.json" || true
prj run ask --json >"$root/ask.json" || true
cat >"$root/script.yaml" <<'YAML'
answers:
  - when: add the prices
    text: "It was missing.\n\ncart.py\n<<<<<<< SEARCH\n    return 0\n=======\n    return sum(prices)\n>>>>>>> REPLACE\n"
  - when: check the address
    text: "It was missing.\n\nmail.py\n<<<<<<< SEARCH\n    return address\n=======\n    return address.strip()\n>>>>>>> REPLACE\n"
YAML
codebot @"check the address" mail.py --agent scripted --script "$root/script.yaml" --json >"$root/applied.json"
codebot apply --all --json >/dev/null
codebot @"add the prices" cart.py --agent scripted --script "$root/script.yaml" --record "$root/recording" --json >"$root/pending.json"
codebot summarize --json >"$root/summary.json"
plum list --json >"$root/worktrees.json"
branch=$(python3 -c 'import json; print(json.load(open("'"$root"'/removed.json"))["branch"])')
plum remove "$branch" --force >/dev/null
for name in "prj status" "prj history" "prj list" "codebot pending" "codebot cost" "plum list"; do
  $name --json >"$root/expected-${name// /-}.json"
done
run=$(python3 -c 'import json; print(json.load(open("'"$root"'/edit.json"))["id"])')
prj show "$run" --json >"$root/expected-prj-show.json"
prj diff "$run" --json >"$root/expected-prj-diff.json"
prj undo --list --json >"$root/expected-prj-undo.json"
tmux -L prj-old-state kill-server 2>/dev/null || true
tar -C /tmp -czf "$here/state.tar.gz" "$(basename "$root")"
rm -rf "$root"
