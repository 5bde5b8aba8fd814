#!/usr/bin/env bash
#
# Checks the subjects of the commits after base: each names a part of the
# repository and the change, "part: what is different", has at most 72 characters
# and no dot at its end. Merges are exempt.
#
# A shallow clone, which may lack base, has only recent commits: all of them are
# checked.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

base=524188a0c2ed0a5f6d3cab81a98c227b3e48d195 # older subjects have another form

if git cat-file -e "$base^{commit}" 2>/dev/null; then
	range=$base..HEAD
elif [ "$(git rev-parse --is-shallow-repository)" = true ]; then
	range=HEAD
else
	echo "commit $base is missing: if the history was rewritten, name its successor in ci/commits.sh"
	exit 1
fi

export LC_ALL=C.UTF-8 # so that lengths are in characters
form='^[A-Za-z0-9._/-]+(, [A-Za-z0-9._/-]+)*: [^ ].*[^.]$'
status=0
while read -r commit subject; do
	if [ "${#subject}" -gt 72 ]; then
		echo "$commit \"$subject\" has ${#subject} characters, limit 72"
		status=1
	fi
	if ! [[ $subject =~ $form ]]; then
		echo "$commit \"$subject\" is not of the form \"part: what is different\", without a dot at its end"
		status=1
	fi
done < <(git log --no-merges --format='%h %s' "$range")
exit $status
