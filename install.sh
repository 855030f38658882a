#!/bin/sh
# Installs gpu-preflight on this host; ./install.sh --help tells how.
set -eu

usage() {
	cat <<'EOF'
Usage: install.sh [--register auto|none|ENGINE,...] [--dry-run] [--prefix DIR] [--destdir DIR]
       install.sh --uninstall [--purge] [--dry-run] [--prefix DIR] [--destdir DIR]
       install.sh --build DIR

Puts the programs into PREFIX/bin, the policy into /etc/gpu-preflight/config.toml (kept if it is there), the
folder of the records into /var/log/gpu-preflight, and its logrotate file into /etc/logrotate.d, then registers: no
container is judged until an engine is told of it. No engine is restarted; what has to be is printed.
In a source tree with Go at hand the programs are built, else they are taken from beside this script or bin/.

  --prefix DIR    where bin/ lies (default /usr/local)
  --destdir DIR   install below DIR, as for a package (default: this host)
  --register WHAT auto: the engines that gpu-preflight register finds; names with commas between; none.
                  Default: auto; over an earlier installation what is registered, and nothing new; none with --destdir
  --dry-run       print each action, change nothing
  --uninstall     undo every registration, remove the programs; keep the policy and the records
  --purge         with --uninstall: remove the policy and the records too
  --build DIR     build the programs into DIR and stop
  --help          print this

Examples:
  sudo ./install.sh
  sudo ./install.sh --register none
  sudo ./install.sh --register docker,cdi
  sudo ./install.sh --dry-run --prefix /opt/gpu-preflight
  ./install.sh --destdir /tmp/package --prefix /usr
  sudo ./install.sh --uninstall --purge
EOF
}

say() { printf '%s\n' "$*"; }
warn() { printf 'install.sh: %s\n' "$*" >&2; }
die() {
	warn "$*"
	exit 1
}
wrong() {
	warn "$* (try --help)"
	exit 2
}

# do_ prints an action, and takes it unless this is a dry run.
do_() {
	say "$*"
	[ -n "$dry_run" ] || "$@"
}

# replace SOURCE TARGET MODE: a running program is never written over, and there is no moment without a file.
replace() {
	say "install -m $3 $1 $2"
	[ -z "$dry_run" ] || return 0
	mkdir -p "$(dirname "$2")"
	cp "$1" "$2.new.$$"
	chmod "$3" "$2.new.$$"
	mv -f "$2.new.$$" "$2"
}

# link SOURCE TARGET [-s]: a hard link, or with -s a symbolic one, put in place by rename as well.
link() {
	say "ln ${3:-} $1 $2"
	[ -z "$dry_run" ] || return 0
	ln ${3:+"$3"} "$1" "$2.new.$$"
	mv -f "$2.new.$$" "$2"
	rm -f "$2.new.$$"
}

version() {
	v=${VERSION:-$(git -C "$here" describe --tags --always --dirty 2>/dev/null || true)}
	printf '%s' "${v:-dev}"
}

# have_go says whether Go is there and new enough; Go itself knows, from go.mod, and may fetch a newer one.
have_go() {
	wanted=$(sed -n 's/^go //p' "$here/go.mod")
	if ! command -v go >/dev/null 2>&1; then
		warn "Go $wanted or later is missing: https://go.dev/dl/"
		return 1
	fi
	if ! (cd "$here" && go list -m >/dev/null 2>&1); then
		warn "Go $wanted or later is missing; here is $(cd / && go version 2>/dev/null || echo 'a go that does not run')"
		return 1
	fi
}

have_cc() {
	cc=${CC:-$(go env CC)}
	command -v "${cc%% *}" >/dev/null 2>&1 && return
	warn "WITHOUT gpu-preflight-nvml: no C compiler (${cc%% *}) is here to build it (Debian: apt install gcc libc6-dev)."
	warn "Everything else works; what only NVML tells about the GPUs stays unknown."
	return 1
}

# go_build PROGRAM DIR CGO_ENABLED
go_build() {
	say "build $1"
	if [ -n "$dry_run" ]; then
		cp /dev/null "$2/$1"
		chmod 0755 "$2/$1"
		return
	fi
	(cd "$here" && CGO_ENABLED=$3 go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$(version)" -o "$2/$1" "./cmd/$1")
}

build() {
	mkdir -p "$1"
	out=$(cd "$1" && pwd)
	go_build gpu-preflight "$out" 0
	go_build gpu-preflight-hook "$out" 0
	ln -f "$out/gpu-preflight-hook" "$out/gpu-preflight-runtime"
	rm -f "$out/gpu-preflight-nvml"
	have_cc || return 0
	if ! go_build gpu-preflight-nvml "$out" 1; then
		warn "WITHOUT gpu-preflight-nvml: it does not build here, see above; what only NVML tells stays unknown."
	fi
}

# find_programs sets programs to the folder that holds them, and builds them where it can.
find_programs() {
	if [ -d "$here/cmd/gpu-preflight" ] && have_go; then
		programs=$(mktemp -d)
		trap 'rm -rf "$programs"' EXIT
		build "$programs"
		return
	fi
	for programs in "$here" "$here/bin"; do
		if [ -x "$programs/gpu-preflight-hook" ] && [ -x "$programs/gpu-preflight" ]; then
			say "take the programs of $programs"
			return
		fi
	done
	die "no programs beside this script or in bin/, and they cannot be built here"
}

install_all() {
	find_programs
	[ ! -e "$bin/gpu-preflight" ] || upgrade=yes
	[ -n "$dry_run" ] || mkdir -p "$bin" "$dest/var/log/gpu-preflight"
	for name in gpu-preflight-nvml gpu-preflight-hook gpu-preflight; do
		if [ -x "$programs/$name" ]; then
			replace "$programs/$name" "$bin/$name" 0755
		elif [ -e "$bin/$name" ]; then
			warn "there is no new $name; the one in $bin is of another version and goes"
			do_ rm -f "$bin/$name"
		fi
	done
	link "$bin/gpu-preflight-hook" "$bin/gpu-preflight-runtime"
	for shim in "$dest$prefix/libexec/gpu-preflight"/*/gpu-preflight-runtime; do # what is registered is the same program
		if [ -f "$shim" ] && ! [ -L "$shim" ]; then link "$bin/gpu-preflight-hook" "$shim"; fi
	done
	if [ -e "$dest/etc/gpu-preflight/config.toml" ]; then
		say "keep $dest/etc/gpu-preflight/config.toml"
	else
		replace "$here/deploy/config.toml" "$dest/etc/gpu-preflight/config.toml" 0644
	fi
	do_ chmod 0755 "$dest/var/log/gpu-preflight"
	replace "$here/deploy/logrotate/gpu-preflight" "$dest/etc/logrotate.d/gpu-preflight" 0644
	if [ -z "$dry_run" ]; then
		[ -x "$bin/gpu-preflight-nvml" ] || warn "WITHOUT gpu-preflight-nvml: what only NVML tells about the GPUs stays unknown"
	fi
	register_all
}

# registered names the engines that are registered on the host, one a line.
registered() {
	for state in "$dest/var/lib/gpu-preflight/register"/*.json; do
		state=${state##*/}
		[ "$state" = '*.json' ] || say "${state%.json}"
	done
}

# register_all puts the programs in front of engines. What an operator left out or took out stays out on an upgrade.
register_all() {
	if [ -z "$register" ]; then
		register=auto
		[ -z "$upgrade" ] || register=$(registered)
		[ -z "$dest" ] || register=''
	fi
	case $register in
	none | '')
		say "installed; nothing was registered. Next: gpu-preflight register --dry-run"
		return
		;;
	auto) set -- ;;
	*)
		old=$IFS IFS=,$newline
		set -f
		# shellcheck disable=SC2086 # split at the commas
		set -- $register
		set +f
		IFS=$old
		;;
	esac
	do_ "$bin/gpu-preflight" ${dest:+--root "$dest"} register --prefix "$prefix" "$@" ||
		die "installed, but not registered everywhere (see above)"
}

# unregister_all comes first: an engine that names a program which is gone starts no container.
unregister_all() {
	states=$(registered)
	[ -n "$states" ] || return 0
	if [ -x "$bin/gpu-preflight" ]; then
		do_ "$bin/gpu-preflight" ${dest:+--root "$dest"} unregister --prefix "$prefix" ||
			die "the registrations are not undone (see above), so nothing was removed"
	elif [ "$states" = docker ] && no_shims; then
		say "docker's runtime gpu-preflight was left for containers that name it, and leads straight to the next one"
	else
		die "$dest/var/lib/gpu-preflight/register names registrations, and $bin/gpu-preflight is not there to undo them: install again, then uninstall"
	fi
}

# no_shims says that whatever engines still call leads straight to the runtimes behind it, as unregister leaves it.
no_shims() {
	for shim in "$dest$prefix/libexec/gpu-preflight"/*/gpu-preflight-runtime; do
		[ -L "$shim" ] || return 1
	done
}

uninstall_all() {
	unregister_all
	for name in gpu-preflight gpu-preflight-runtime gpu-preflight-hook gpu-preflight-nvml; do
		[ ! -e "$bin/$name" ] || do_ rm -f "$bin/$name"
	done
	do_ rm -f "$dest/etc/logrotate.d/gpu-preflight"
	if [ -n "$purge" ]; then
		for folder in etc log lib; do
			case $folder in etc) path=$dest/etc/gpu-preflight ;; *) path=$dest/var/$folder/gpu-preflight ;; esac
			do_ rm -rf "$path"
		done
		do_ rm -rf "$dest/run/gpu-preflight"
	else
		say "kept $dest/etc/gpu-preflight and $dest/var/log/gpu-preflight (--purge removes them)"
	fi
}

newline='
'
here=$(cd "$(dirname "$0")" && pwd)
action=install_all register='' upgrade='' dry_run='' purge='' prefix=/usr/local dest='' out=''
while [ $# -gt 0 ]; do
	case $1 in
	--register)
		[ -n "${2:-}" ] || wrong "$1 wants auto, none or engines"
		register=$2
		shift
		;;
	--prefix | --destdir | --build)
		[ -n "${2:-}" ] || wrong "$1 wants a folder"
		case $1 in
		--prefix) prefix=${2%/} ;;
		--destdir) dest=${2%/} ;;
		--build) action="build" out=$2 ;;
		esac
		shift
		;;
	--dry-run) dry_run=yes ;;
	--uninstall) action=uninstall_all ;;
	--purge) purge=yes ;;
	-h | --help)
		usage
		exit 0
		;;
	*) wrong "unknown option $1" ;;
	esac
	shift
done
case $prefix in /*) ;; *) wrong "--prefix wants an absolute path" ;; esac
case $dest in '' | /*) ;; *) dest=$PWD/$dest ;; esac
[ -z "$purge" ] || [ "$action" = uninstall_all ] || wrong "--purge goes with --uninstall"
bin=$dest$prefix/bin

umask 022
# go-nvml names functions that NVIDIA's header calls deprecated; hundreds of warnings would hide a real one.
export CGO_CFLAGS="${CGO_CFLAGS:--O2 -g -Wno-deprecated-declarations}"
if [ "$action" = build ]; then
	have_go || die "nothing can be built"
	build "$out"
	exit 0
fi
if [ -z "$dry_run" ] && [ -z "$dest" ] && [ "$(id -u)" -ne 0 ]; then
	die "needs root to install on this host (or use --dry-run, or --destdir DIR)"
fi
$action
