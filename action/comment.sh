#!/usr/bin/env bash
# Keep one comment for each project of a pull request up to date. That it cannot be written, as in a pull request from a
# fork, whose token may only read, is a warning: the summary of the job has the same text.
#
# PROJECT_DIR   folder of the project
# PULL_REQUEST  number of the pull request
# GH_TOKEN      what `gh` shows GitHub
set -euo pipefail

report="$RUNNER_TEMP/mf-diff.md"
longest=65000 # characters; GitHub takes 65,536
if [[ ! -s "$report" ]]; then
  exit 0
fi

marker="<!-- mf-diff: $PROJECT_DIR -->"
body="$RUNNER_TEMP/mf-comment.md"
{
  echo "$marker"
  if (($(wc -m < "$report") > longest)); then
    head -n 1 "$report"
    echo
    echo "The rest is too long for a comment: see the [summary of the job]($GITHUB_SERVER_URL/$GITHUB_REPOSITORY/actions/runs/$GITHUB_RUN_ID)."
  else
    cat "$report"
  fi
} > "$body"

# Of a comment that anybody may write, its author could change the text later.
ours='.[] | select(.user.type == "Bot" or (.author_association | IN("OWNER", "MEMBER", "COLLABORATOR")))
  | [.id, (.body | split("\n")[0] | rtrimstr("\r"))] | @tsv'

keep() {
  local comments id
  comments="$(gh api --paginate "repos/$GITHUB_REPOSITORY/issues/$PULL_REQUEST/comments?per_page=100" --jq "$ours")" || return
  id="$(MARKER="$marker" awk -F '\t' '$2 == ENVIRON["MARKER"] { print $1; exit }' <<< "$comments")"
  if [[ -n "$id" ]]; then
    gh api --silent --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$id" -F "body=@$body"
  elif [[ ! -e "$RUNNER_TEMP/mf-unchanged" ]]; then
    gh api --silent --method POST "repos/$GITHUB_REPOSITORY/issues/$PULL_REQUEST/comments" -F "body=@$body"
  fi
}

if ! keep; then
  echo "::warning::mf could not write its comment; it needs the permission pull-requests: write, which a pull request from a fork does not have. The summary of the job has the text."
fi
