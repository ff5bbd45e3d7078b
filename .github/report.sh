#!/usr/bin/env bash
# Says on GitHub how a scheduled check ended: a red one opens an issue (or comments on the open one), a green one closes it.
#   usage: .github/report.sh NAME RESULT      RESULT is success, failure, cancelled or skipped
# Needs GH_TOKEN with the right to write issues, and RUN_URL. Not tried yet: needs GitHub.
set -eu
name=$1 result=$2
label="scheduled: $name"
case $result in success | failure) ;; *) echo "$name: $result, nothing to report."; exit 0 ;; esac

open=$(gh issue list --label "$label" --state open --limit 1 --json number --jq '.[0].number // empty')
if [ "$result" = failure ]; then
  if [ -n "$open" ]; then
    gh issue comment "$open" --body "Red again: $RUN_URL"
  else
    gh label create "$label" --color b5452c --description "A scheduled check found something" --force
    gh issue create --label "$label" --title "Scheduled check is red: $name" --body \
"The check *$name* of .github/workflows/scheduled.yml failed: $RUN_URL

Nothing here changed: something that the book stands on did. This issue closes itself when the check is green again."
  fi
elif [ -n "$open" ]; then
  gh issue close "$open" --comment "Green again: $RUN_URL"
fi
