#!/bin/sh
# screenshot.sh PAGE.html PICTURE.png [WIDTH HEIGHT]: a picture of a report page, by a headless Chromium.
# SCHEME=dark takes the dark form; SCALE=2 doubles the resolution.
set -eu
[ $# -ge 2 ] || { sed -n 2,3p "$0" >&2; exit 2; }
page=$(realpath "$1") picture=$(realpath -m "$2") width=${3:-1200} height=${4:-1600}
for browser in chromium chromium-browser google-chrome none; do
  command -v "$browser" > /dev/null && break
done
[ "$browser" != none ] || { echo "screenshot.sh: no Chromium found (apt install chromium)" >&2; exit 1; }
profile=$(mktemp -d)
trap 'rm -rf "$profile"' EXIT
[ "${SCHEME:-light}" = dark ] && scheme=0 || scheme=1
"$browser" --headless --no-sandbox --disable-gpu --no-first-run --disable-background-networking \
  --disable-component-update --disable-sync --hide-scrollbars --user-data-dir="$profile" \
  --blink-settings=preferredColorScheme=$scheme --force-device-scale-factor="${SCALE:-1}" \
  --window-size="$width,$height" --virtual-time-budget=8000 --screenshot="$picture" "file://$page" \
  > "$profile/log" 2>&1 || { cat "$profile/log" >&2; exit 1; }
[ -s "$picture" ] || { cat "$profile/log" >&2; exit 1; }
