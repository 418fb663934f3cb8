# shellcheck shell=sh
# shellcheck disable=SC2154 # They have made the folder $work.
# What the tests of the image share.

fail() {
    echo "$0: $1" >&2
    exit 1
}

box=
# What comes before the command that starts the program.
enter=

# image_of CONTEXT: makes $work/image and $work/volume of a build context, as a builder sees it and
# without a network, and sets $config, what the image says of itself, $user and $volume.
image_of() {
    image=auth_user_tried_$$
    unshare --net buildah --storage-driver vfs build --isolation chroot --quiet --tag "$image" "$1" >/dev/null
    config=$(buildah --storage-driver vfs inspect --type image "$image" | jq .OCIv1.config)
    box=$(buildah --storage-driver vfs from "$image")
    cp -a "$(buildah --storage-driver vfs mount "$box")" "$work/image"
    end_image
    buildah --storage-driver vfs rmi "$image" >/dev/null
    chmod 755 "$work/image"
    user=$(echo "$config" | jq --raw-output .User)
    volume=$(echo "$config" | jq --raw-output '.Volumes | keys[]')
    # As a runtime makes it, from what is there.
    cp -a "$work/image$volume" "$work/volume"
}

end_image() {
    [ -z "$box" ] || buildah --storage-driver vfs rm "$box" >/dev/null
    box=
}

# contained OPTION...: becomes what starts the program of the image, as the first process of its own:
# read-only, without a right, without /tmp, and with these options of bwrap.
contained() {
    # shellcheck disable=SC2086 # Words of a command.
    exec $enter setpriv --reuid "${user%:*}" --regid "${user#*:}" --clear-groups --no-new-privs --bounding-set=-all \
        --inh-caps=-all bwrap --unshare-user --unshare-pid --unshare-ipc --as-pid-1 --die-with-parent --cap-drop ALL \
        --clearenv --ro-bind "$work/image" / --proc /proc --dev /dev --bind "$work/volume" "$volume" \
        --chdir "$volume" "$@" "$(echo "$config" | jq --raw-output '.Entrypoint[0]')"
}
