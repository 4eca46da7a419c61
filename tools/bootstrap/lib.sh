# shellcheck shell=bash
# What the parts of the set-up share: messages, a private apt, downloads.

log() { printf '[fledge] %s\n' "$*" >&2; }
die() { log "error: $*"; exit 1; }
megabytes() { du -sm "$1" | cut -f1; }

# need COMMAND PACKAGE: fails with the remedy when the machine lacks a command.
need() {
  command -v "$1" >/dev/null || die "the set-up needs '$1', which this machine lacks:" \
    "install it (Debian: apt install $2), or install Bazelisk (https://github.com/bazelbuild/bazelisk)"
}

# debian_mirror prints the mirror that the machine's own apt uses for Debian.
debian_mirror() {
  local mirror=${FLEDGE_DEBIAN_MIRROR:-}
  # Without --no-release-info apt lists only what has been updated once.
  # shellcheck disable=SC2016 # $(REPO_URI) is apt's
  [ -n "$mirror" ] || mirror=$(apt-get indextargets --no-release-info --format '$(REPO_URI)' 'Created-By: Packages' |
    awk '/\/debian\/?$/ && !n++')
  [ -n "$mirror" ] || die "apt on this machine knows no Debian mirror: set FLEDGE_DEBIAN_MIRROR to the address of one"
  printf '%s\n' "$mirror"
}

# apt_init DIR SUITE [ARCHITECTURE]: a private apt that knows one suite, amd64's packages unless told otherwise, and no
# installed package, so that what a package needs comes out the same on every machine. Sets APT_CONFIG.
apt_init() {
  local dir=$1 suite=$2 architecture=${3:-amd64} mirror network keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  need apt-get apt
  need dpkg-deb dpkg
  [ -e "$keyring" ] || die "$keyring is missing: install it (Debian: apt install debian-archive-keyring)"
  mirror=$(debian_mirror)
  # Of the machine's settings only its proxies are for us.
  network=$(apt-config dump | grep -E '^Acquire::https?::' || true)
  mkdir -p "$dir"/lists/partial "$dir"/cache/archives/partial
  : >"$dir/status"
  echo "deb [signed-by=$keyring] $mirror $suite main" >"$dir/sources.list"
  cat >"$dir/apt.conf" <<A
Dir::State "$dir";
Dir::State::lists "$dir/lists";
Dir::State::status "$dir/status";
Dir::Cache "$dir/cache";
Dir::Etc::main "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::sourcelist "$dir/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
Acquire::Retries "3";
APT::Install-Recommends "false";
APT::Architecture "$architecture";
APT::Architectures "$architecture";
APT::Sandbox::User "";
$network
A
  export APT_CONFIG=$dir/apt.conf
  log "reading the package list of Debian $suite"
  apt-get -qq update >&2 || die "the package list of Debian $suite cannot be read from $mirror"
}

# apt_closure PACKAGE...: the names of the packages and of all that they depend on.
apt_closure() {
  apt-get install -y --print-uris "$@" | sed -n "s/^'[^']*' \([^_]*\)_.*/\1/p" || die "apt cannot install $*"
}

# apt_unpack DEBS DIR PACKAGE...: downloads packages to DEBS (apt checks them, and keeps those that are there) and
# unpacks them in DIR.
apt_unpack() {
  local debs=$1 dir=$2 list
  shift 2
  mkdir -p "$debs" "$dir"
  list=$(apt-get --print-uris download "$@" | awk '{ print $2, $3 }')
  log "downloading $# Debian packages, $(awk '{ n += $2 } END { printf "%d", n / 1e6 + 0.5 }' <<<"$list") MB"
  (cd "$debs" && apt-get -qq download "$@" >&2) || die "Debian packages could not be downloaded: $*"
  log "unpacking"
  (cd "$debs" && cut -d' ' -f1 <<<"$list" | xargs -P2 -I{} dpkg-deb -x {} "$dir")
}

# fetch WHAT URL FILE SHA256: downloads with resume; the file appears whole and checked, or not at all.
fetch() {
  local what=$1 url=$2 file=$3 want=$4 have
  [ ! -e "$file" ] || return 0
  log "downloading $what"
  if command -v wget >/dev/null && ! command -v curl >/dev/null; then
    wget -q -t 3 -c -O "$file.part" "$url" || die "$url could not be downloaded"
  else
    need curl curl
    download() { curl -fsSL --retry 3 "$@" -o "$file.part" "$url"; }
    # 22 and 33 are what it says where all has come already, and of a server that cannot go on in the middle.
    download -C - || case $? in 22 | 33) rm -f "$file.part" && download ;; *) false ;; esac || die "$url could not be downloaded"
  fi
  have=$(sha256sum "$file.part" | cut -d' ' -f1)
  [ "$have" = "$want" ] || { rm -f "$file.part"; die "$url has SHA-256 $have, wanted $want"; }
  mv "$file.part" "$file"
}
