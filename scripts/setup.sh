# Functions for the other scripts: what this machine needs, installed where it is missing. Sourced, not run.

# say TEXT...: one line about what happens now, apart from what programs print.
say() { printf '\n== %s\n' "$*"; }

# as_root COMMAND...: with sudo where we are not root and there is one.
as_root() {
    if [ "$(id -u)" -ne 0 ] && command -v sudo >/dev/null; then sudo "$@"; else "$@"; fi
}

# present COMMAND: on the path, or where daemons live.
present() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ]; }

# need COMMAND APT DNF PACMAN BREW: installs the package that brings COMMAND with the package manager that there is.
# `-` names a package that this system brings by itself.
need() {
    if present "$1"; then return 0; fi
    local package
    if command -v apt-get >/dev/null; then
        package=$2
        say "installing $package (for $1) with apt-get"
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$package" >/dev/null 2>&1 ||
            { as_root apt-get update -q >/dev/null && as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q "$package" >/dev/null; }
    elif command -v dnf >/dev/null; then
        package=$3
        say "installing $package (for $1) with dnf"
        as_root dnf install -y -q "$package"
    elif command -v pacman >/dev/null; then
        package=$4
        say "installing $package (for $1) with pacman"
        as_root pacman -S --noconfirm --needed "$package"
    elif command -v brew >/dev/null && [ "$5" != - ]; then
        package=$5
        say "installing $package (for $1) with brew"
        brew install --quiet "$package"
    fi
    present "$1" || echo "$1 is missing, and no package manager of this machine brought it: please install it" >&2
}

# What both commands need: a C compiler (zstd is built from source), the tool we compare with, both ends of ssh.
need_common() {
    command -v cargo >/dev/null || { echo "cargo is missing: install Rust from https://rustup.rs" >&2; exit 1; }
    need cc gcc gcc base-devel -
    need rsync rsync rsync rsync rsync
    need ssh openssh-client openssh-clients openssh -
    need sshd openssh-server openssh-server openssh -
}

# need_runner: what `cargo bench --bench instructions` runs by on Linux: valgrind, and below target/ gungraun-runner in the
# version that Cargo.lock has of its library.
need_runner() {
    local tools=$PWD/target/tools version
    need valgrind valgrind valgrind valgrind -
    version=$(awk '$0 == "name = \"gungraun\"" { getline; gsub(/"/, ""); print $3 }' Cargo.lock)
    export GUNGRAUN_RUNNER=$tools/bin/gungraun-runner
    if [ "$("$GUNGRAUN_RUNNER" --version 2>/dev/null)" != "gungraun-runner $version" ]; then
        say "installing gungraun-runner $version"
        cargo install -q --locked --force --root "$tools" "gungraun-runner@$version"
    fi
}
