# shellcheck shell=sh
# What the commands in this folder share; they read this file and are in the root of the tree after it.

cd "$(dirname "$0")/.." || exit

# Ends the command with what is wrong and what to do.
fail() {
    echo "packaging/$(basename "$0"): $1" >&2
    exit 1
}

# need COMMAND PACKAGE: one that is missing is named before anything is done.
need() {
    command -v "$1" >/dev/null || fail "$1 is missing; in Debian it is in the package $2"
}

version=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)

# Times in what is made are that of the release, so that it is the same whenever it is made.
if [ -z "${SOURCE_DATE_EPOCH-}" ]; then
    released=$(sed -n "s/^## $version - //p" CHANGELOG.md)
    [ -n "$released" ] || fail "CHANGELOG.md has no date for $version"
    SOURCE_DATE_EPOCH=$(date --utc --date "$released" +%s)
fi
export SOURCE_DATE_EPOCH

# The released program, built if it is missing.
program=target/release/auth_user
built() {
    [ -x "$program" ] || CARGO_TARGET_DIR=target cargo build --locked --release --bin auth_user >&2
    "./$program" --version | grep -qx "auth_user $version" ||
        fail "$program is of another version than this tree; remove it"
}
