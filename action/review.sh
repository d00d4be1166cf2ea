#!/usr/bin/env bash
# Check the project and say what changes in it: annotations on stdout, Markdown in $RUNNER_TEMP/mf-diff.md and in the
# summary of the job. Ends as `mf parse` did, or as `mf diff` if that alone failed.
#
# PROJECT_DIR  folder of the project
# BASE         revision or branch to compare with; nothing is compared if it is empty
# WARN_ERROR   `true` to take warnings for errors
set -euo pipefail

report="$RUNNER_TEMP/mf-diff.md"
unchanged="$RUNNER_TEMP/mf-unchanged"
rm -f "$report" "$unchanged"

options=()
if [[ "$WARN_ERROR" == true ]]; then
  options+=(--warn-error)
fi
status=0
mf parse --project-dir "$PROJECT_DIR" --diagnostics github "${options[@]}" || status=$?

if [[ -z "$BASE" ]]; then
  echo "::notice::mf compares nothing: this is no pull request, and no base is given"
  exit "$status"
fi

# A checkout has mostly one commit; then the base is brought here, by its hash or by the name of its branch.
revision="$(git -C "$PROJECT_DIR" rev-parse --quiet --verify --end-of-options "$BASE^{commit}" || true)"
if [[ -z "$revision" ]]; then
  if ! git -C "$PROJECT_DIR" fetch --quiet --no-tags --depth=1 -- origin "$BASE"; then
    echo "::error::mf cannot find the base to compare with"
    exit 2
  fi
  revision="$(git -C "$PROJECT_DIR" rev-parse --verify FETCH_HEAD)"
fi

found=0
mf diff --project-dir "$PROJECT_DIR" --output markdown --detailed-exitcode "$revision" > "$report" || found=$?
if ((found == 0)); then
  touch "$unchanged" # no reason to begin a comment
elif ((found != 3)); then
  status=$((status == 0 ? 2 : status))
  echo "**The models of \`$PROJECT_DIR\` cannot be compared:** \`mf\` reports mistakes, see the annotations." > "$report"
fi
cat "$report" >> "$GITHUB_STEP_SUMMARY"
exit "$status"
