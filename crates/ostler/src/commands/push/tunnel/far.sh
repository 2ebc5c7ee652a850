say() { printf "@ostler %s\n" "$*"; }
fail() { say "failed $*"; exit 1; }
named() {
  sum=-
  if [ -f "refs/heads/$1" ]; then IFS= read -r sum <"refs/heads/$1" || :; fi
}
told() {
  while IFS= read -r line; do named "${line#* }"; say "$1 $sum ${line#* }"; done
}
unmoved() {
  while IFS= read -r line; do
    named "${line#* }"
    [ "$sum" = "${line%% *}" ] || fail "somebody moved ${line#* } meanwhile"
  done
}
unset CDPATH http_proxy all_proxy ALL_PROXY
IFS= read -r repo && IFS= read -r tool && IFS= read -r ostree && IFS= read -r receive || exit 1
case $repo in /*) ;; *) repo=./$repo ;; esac
cd -P "$repo" 2>/dev/null || fail "there is no directory $repo"
[ -d objects ] && [ -f config ] || fail "$repo is no repository"
command -v "$ostree" >/dev/null 2>&1 || fail "there is no program $ostree"
if command -v "$receive" >/dev/null 2>&1; then
  [ "$tool" = any ] && tool=receive
else
  [ "$tool" = receive ] && fail "there is no program $receive"
  tool=plain
fi
while IFS= read -r ref && [ -n "$ref" ]; do named "$ref"; say "ref $sum $ref"; done
say "ready $tool"
IFS= read -r url && IFS= read -r depth && IFS= read -r options || exit 0
host=$(uname -n)
for old in tmp/ostler-tunnel-*; do
  name=${old#tmp/ostler-tunnel-}
  [ "${name%-*}" = "$host" ] || continue
  kill -0 "${name##*-}" 2>/dev/null || rm -rf "$old"
done
own=tmp/ostler-tunnel-$host-$$
tidy() { rm -rf "$own"; }
rm -rf "$own"
mask=$(umask)
umask 077
mkdir "$own" || fail "there cannot be a directory in $repo/tmp"
umask "$mask"
trap tidy EXIT
trap "exit 1" HUP INT TERM PIPE
: >"$own/moves"
: >"$own/drops"
set --
while IFS= read -r line && [ -n "$line" ]; do
  printf "%s\n" "$line" >>"$own/moves"
  set -- "$@" "${line#* }"
done
while IFS= read -r line && [ -n "$line" ]; do printf "%s\n" "$line" >>"$own/drops"; done
mode=$("$ostree" config --repo=. get core.mode </dev/null) || fail "its configuration cannot be read"
"$ostree" init --repo="$own/repo" --mode="$mode" </dev/null >/dev/null || fail "no repository can be made in $repo/tmp"
printf "fsync=false\nparent=%s\n[remote \"tunnel\"]\nurl=%s\ngpg-verify=false\n" "$PWD" "$url" >>"$own/repo/config"
if [ $# -gt 0 ]; then
  "$ostree" pull --repo="$own/repo" --mirror --depth="$depth" --disable-static-deltas tunnel "$@" </dev/null >/dev/null || fail "its ostree could not pull"
fi
if [ "$tool" = receive ]; then
  "$ostree" summary --repo="$own/repo" --update </dev/null >/dev/null || fail "its ostree made no summary"
  say flip
  "$receive" -q $options "$PWD" "file://$PWD/$own/repo" "$@" </dev/null >/dev/null || fail "its ostree-receive ended with $?"
else
  sums=
  for ref; do
    IFS= read -r sum <"$own/repo/refs/heads/$ref" || fail "no commit came for $ref"
    sums="$sums $sum"
  done
  if [ $# -gt 0 ]; then
    "$ostree" pull-local --repo=. --depth="$depth" "$own/repo" $sums </dev/null >/dev/null || fail "its ostree could not take the commits in"
  fi
  unmoved <"$own/moves"
  unmoved <"$own/drops"
  say flip
  if [ $# -gt 0 ]; then
    "$ostree" pull-local --repo=. --depth="$depth" "$own/repo" "$@" </dev/null >/dev/null || fail "its ostree could not move the refs"
  fi
  while IFS= read -r line; do
    "$ostree" refs --repo=. --delete "${line#* }" </dev/null >/dev/null || fail "its ostree could not delete ${line#* }"
  done <"$own/drops"
  if [ -f summary.sig ]; then
    say signed
  else
    "$ostree" summary --repo=. --update </dev/null >/dev/null || fail "the refs have moved, and its ostree made no summary"
  fi
fi
sync -f refs/heads 2>/dev/null || sync
told now <"$own/moves"
told now <"$own/drops"
say done
