# What does a script for a real engine need of this machine? To be sourced: one line for each thing that is missing, all of
# them before anything is done, and then the end with code 2.
#
#   needs "root: run it by sudo" is_root
#   needs_tools "Debian's util-linux" unshare nsenter
#   demand_needs

lacking=()
needs() { # WHAT COMMAND...: the command says by its code whether it is there
    local what=$1
    shift
    "$@" >/dev/null 2>&1 || lacking+=("$what")
}
needs_tools() { # PACKAGE TOOL...
    local package=$1 tool
    shift
    for tool in "$@"; do needs "$tool on PATH: install $package" command -v "$tool"; done
}
demand_needs() {
    [ ${#lacking[@]} -gt 0 ] || return 0
    printf 'needs %s\n' "${lacking[@]}" >&2
    exit 2
}

is_root() { [ "$(id -u)" = 0 ]; }
is_debian() { grep -q "^VERSION_CODENAME=$1\$" /etc/os-release; } # CODENAME
has_gigabytes() { # FOLDER NUMBER: free, on the disk of the folder or of the first one above it that is there
    local folder=$1
    until [ -d "$folder" ]; do folder=$(dirname "$folder"); done
    [ -w "$folder" ] && [ "$(df --output=avail -BG "$folder" | tail -n 1 | tr -dc 0-9)" -ge "$2" ]
}
lets_others_in() { # FOLDER: every account may go through it and through those above it, as far as they are there
    local folder=$1
    while [ "$folder" != / ]; do
        [ ! -d "$folder" ] || [ -n "$(find "$folder" -maxdepth 0 -perm -o+x)" ] || return 1
        folder=$(dirname "$folder")
    done
}
knows_packages() { # PACKAGE...: apt has seen a list that names them
    local package
    for package in "$@"; do apt-cache show --no-all-versions "$package" || return 1; done
}
fetches_packages() { # apt reaches the server that its list names
    local folder code=0
    folder=$(mktemp -d)
    (cd "$folder" && apt-get download -q "$1") || code=1
    rm -rf "$folder"
    return "$code"
}
makes_namespaces() { unshare --mount --net --uts --ipc --pid --fork --kill-child --mount-proc "$@"; } # COMMAND...
