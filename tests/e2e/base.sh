#!/usr/bin/env bash
# Prints the release that `make e2e` upgrades from: E2E_FROM, else the last tag before this commit, else the commit of 0.1.0.
# Fails where the history of this clone does not have it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
base="${E2E_FROM:-$(git describe --tags --match 'v[0-9]*' --abbrev=0 HEAD^ 2>/dev/null || echo 4299a6c)}"
git cat-file -e "$base^{commit}" 2>/dev/null || {
  echo "e2e: $base, the release to upgrade from, is not in this clone: git fetch --tags --unshallow" >&2
  exit 1
}
echo "$base"
